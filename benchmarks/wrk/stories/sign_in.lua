-- Each time a browser that was never here: the first page, the form, the answer.
local function escape(text)
  return (text:gsub("[^%w._~-]", function(c) return string.format("%%%02X", c:byte()) end))
end

return function(data)
  local jar, path, form

  local function begin_again(outcome, why)
    jar, path, form = {}, data.first, nil
    return outcome, why
  end

  local function request()
    local cookies = {}
    for name, value in pairs(jar) do table.insert(cookies, name .. "=" .. value) end
    local headers = { ["Cookie"] = table.concat(cookies, "; ") }
    if not form then return wrk.format("GET", path, headers) end
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    return wrk.format("POST", path, headers, form)
  end

  local function keep(headers)
    for name, value in pairs(headers) do
      local cookie, content = value:match("^([^=]+)=([^;]*)")
      if name:lower() == "set-cookie" and cookie then jar[cookie] = content end
    end
  end

  local function judge(status, headers, body)
    local location = headers["Location"] or headers["location"]
    if status == 503 and (headers["Retry-After"] or headers["retry-after"]) then return begin_again("refused") end
    local there = location and location:sub(1, #data.done) == data.done and not location:find(data.failed, 1, true)
    if status == 303 and there then return begin_again("good") end
    return begin_again("bad", location or body:gsub("<[^>]*>", " "):gsub("%s+", " "))
  end

  local function response(status, headers, body)
    keep(headers)
    if form then return judge(status, headers, body) end
    local location = headers["Location"] or headers["location"]
    if location then
      path = location:gsub("^https?://[^/]+", "")
      return
    end
    local csrf = body:match('name="csrf" value="([^"]+)"')
    local action = body:match('<form[^>]*action="(/login/password[^"]*)"')
    if not csrf or not action then return begin_again("bad", "no form " .. body:sub(1, 80)) end
    path, form = action:gsub("&amp;", "&"), data.fields .. "&csrf=" .. escape(csrf)
  end

  begin_again()
  return { request = request, response = response }
end
