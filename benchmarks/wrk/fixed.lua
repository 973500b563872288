-- Requests that are known beforehand. What costs a server little is asked for too often for a script to read the answers: then wrk
-- itself looks at the status, and nobody knows what a bad one said.
dofile("common.lua")

local story

function init(args)
  story = dofile("stories/fixed.lua")(dofile(args[1]))
  if args[3] == "unread" then return end
  function response(status, headers, body)
    judge(status, story.response(status, headers, body))
  end
end

function request()
  return story.request()
end
