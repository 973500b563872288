-- One connection a thread, and a story that it tells: what to ask next depends on the last answer.
-- A story answers "good", "refused" (told to come back later), "bad" and why, or nothing while it goes on.
dofile("common.lua")

local story

function init(args)
  story = dofile("stories/" .. args[2] .. ".lua")(dofile(args[1]), number)
end

function request()
  return story.request()
end

function response(status, headers, body)
  judge(status, story.response(status, headers, body))
end
