-- Requests that are known beforehand; wrk itself looks at the status, which costs it less than a script.
dofile("common.lua")

local story

function init(args)
  story = dofile("stories/fixed.lua")(dofile(args[1]))
end

function request()
  return story.request()
end
