-- One connection a thread; each refreshes the token that it was given last.
dofile("common.lua")

good, bad, first_bad = 0, 0, ""
local data, token

function init(args)
  data = dofile(args[1])
  token = data.tokens[number]
end

function request()
  local escaped = token:gsub("[^%w._~-]", function(c) return string.format("%%%02X", c:byte()) end)
  return wrk.format("POST", data.path, data.headers, data.form .. "grant_type=refresh_token&refresh_token=" .. escaped)
end

function response(status, headers, body)
  local fresh = body:match('"refresh_token"%s*:%s*"([^"]+)"')
  if status == 200 and fresh then
    good = good + 1
    token = fresh
  else
    remember_bad(status, body)
  end
end
