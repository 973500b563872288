-- The authorization endpoint with a session's cookie, then the token endpoint with the code.
return function(data)
  local code
  local function request()
    if code then return wrk.format("POST", data.path, data.headers, data.form .. "&code=" .. code) end
    return wrk.format("GET", data.authorize, { ["Cookie"] = data.cookie })
  end
  local function response(status, headers, body)
    if code then
      code = nil
      if status == 200 and body:find('"id_token"', 1, true) then return "good" end
      return "bad", body
    end
    local location = headers["Location"] or headers["location"] or ""
    code = location:match("[?&]code=([^&]+)")
    if not code then return "bad", location .. " " .. body end
  end
  return { request = request, response = response }
end
