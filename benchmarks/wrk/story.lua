-- One connection a thread, and a story that it tells: what to ask next depends on the last answer.
-- A story answers "good", "refused" (told to come back later), "bad" and why, or nothing while it goes on.
dofile("common.lua")

good, refused, bad, first_bad = 0, 0, 0, ""
local story

function init(args)
  story = dofile("stories/" .. args[2] .. ".lua")(dofile(args[1]), number)
end

function request()
  return story.request()
end

function response(status, headers, body)
  local outcome, why = story.response(status, headers, body)
  if outcome == "good" then
    good = good + 1
  elseif outcome == "refused" then
    refused = refused + 1
  elseif outcome == "bad" then
    bad = bad + 1
    if first_bad == "" then first_bad = tostring(status) .. " " .. tostring(why):sub(1, 150) end
  end
end
