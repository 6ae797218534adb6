# Reads a Vagrantfile without Vagrant and prints what it says, as JSON: a list of calls, each
# [its name with the names it was reached by, plain arguments, named arguments]. Blocks are read
# with the arguments of their call: machine.define "kvm" { |m| m.vm.box = 1 } gives
# ["define", ["kvm"], {}] and ["define(kvm).vm.box=", [1], {}].
require "json"

class Recorder < BasicObject
  def initialize(path, calls)
    @path = path
    @calls = calls
  end

  def method_missing(name, *arguments, **named, &block)
    path = [*@path, name].join(".")
    bare = arguments.empty? && named.empty?
    if bare && !block
      return ::Recorder.new([path], @calls)
    end

    @calls << [path, arguments, named]
    block&.call(::Recorder.new(["#{path}(#{arguments.join(",")})"], @calls))
  end

  def respond_to_missing?(*)
    true
  end
end

module Vagrant
  CALLS = []

  def self.configure(version)
    CALLS << ["configure", [version], {}]
    yield Recorder.new([], CALLS)
  end
end

load ARGV.fetch(0)
puts JSON.generate(Vagrant::CALLS)
