"""Pages and figures by HTTP; calls the application."""
