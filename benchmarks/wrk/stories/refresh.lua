-- Each connection has tokens of its own and takes them in turn; in the place of a used one comes the one that was given for it.
return function(data, number)
  local mine, at = {}, 0
  for place = number, #data.tokens, data.share do table.insert(mine, data.tokens[place]) end
  local function request()
    at = at % #mine + 1
    local escaped = mine[at]:gsub("[^%w._~-]", function(c) return string.format("%%%02X", c:byte()) end)
    return wrk.format("POST", data.path, data.headers, "grant_type=refresh_token&refresh_token=" .. escaped)
  end
  local function response(status, headers, body)
    local fresh = body:match('"refresh_token"%s*:%s*"([^"]+)"')
    if status ~= 200 or not fresh then return "bad", body end
    mine[at] = fresh
    return "good"
  end
  return { request = request, response = response }
end
