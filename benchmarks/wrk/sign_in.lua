-- One connection a thread, and each time a browser that was never here: the first page, the form, the answer.
dofile("common.lua")

good, bad, first_bad = 0, 0, ""
local data, jar, path, form

function init(args)
  data = dofile(args[1])
  jar, path = {}, data.first
end

local function begin_again()
  jar, path, form = {}, data.first, nil
end

local function escape(text)
  return (text:gsub("[^%w._~-]", function(c) return string.format("%%%02X", c:byte()) end))
end

function request()
  local cookies = {}
  for name, value in pairs(jar) do table.insert(cookies, name .. "=" .. value) end
  local headers = { ["Cookie"] = table.concat(cookies, "; ") }
  if form then
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    return wrk.format("POST", path, headers, form)
  end
  return wrk.format("GET", path, headers)
end

local function keep(headers)
  for name, value in pairs(headers) do
    if name:lower() == "set-cookie" then
      local cookie, content = value:match("^([^=]+)=([^;]*)")
      if cookie then jar[cookie] = content end
    end
  end
end

function response(status, headers, body)
  keep(headers)
  local location = headers["Location"] or headers["location"]
  if form then
    if status == 303 and location and location:sub(1, #data.done) == data.done and not location:find(data.failed, 1, true) then
      good = good + 1
    else
      remember_bad(status, location or body:gsub("<[^>]*>", " "):gsub("%s+", " "))
    end
    return begin_again()
  end
  if location then
    path = location:gsub("^https?://[^/]+", "")
    return
  end
  local csrf = body:match('name="csrf" value="([^"]+)"')
  local action = body:match('<form[^>]*action="(/login/password[^"]*)"')
  if not csrf or not action then
    remember_bad(status, "no form " .. body:sub(1, 80))
    return begin_again()
  end
  path, form = action:gsub("&amp;", "&"), data.fields .. "&csrf=" .. escape(csrf)
end
