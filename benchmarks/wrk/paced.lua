-- Stories with a pause after each, so that there are so many in a second and not as many as the server can take.
dofile("story.lua")

local tell, resting = response, false

function response(status, headers, body)
  local before = good + refused + bad
  tell(status, headers, body)
  resting = good + refused + bad > before
end

function delay()
  if not resting then return 0 end
  resting = false
  return math.floor(pause_ms * (0.5 + math.random()))
end

local begin = init

function init(args)
  math.randomseed(number)
  pause_ms, resting = tonumber(args[3]), true
  begin(args)
end
