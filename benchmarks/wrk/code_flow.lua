-- One connection a thread: the authorization endpoint with a session's cookie, then the token endpoint with the code.
dofile("common.lua")

good, bad, first_bad = 0, 0, ""
local data, code

function init(args)
  data = dofile(args[1])
end

function request()
  if code then
    return wrk.format("POST", data.path, data.headers, data.form .. "&code=" .. code)
  end
  return wrk.format("GET", data.authorize, { ["Cookie"] = data.cookie })
end

function response(status, headers, body)
  if code then
    code = nil
    if status == 200 and body:find('"id_token"', 1, true) then good = good + 1 else remember_bad(status, body) end
    return
  end
  local location = headers["Location"] or headers["location"] or ""
  code = location:match("[?&]code=([^&]+)")
  if not code then remember_bad(status, location .. " " .. body) end
end
