-- The same request again and again; of bodies and of Authorization headers, each in its turn.
return function(data)
  local texts, at = {}, 0
  local function add(headers, body) table.insert(texts, wrk.format(data.method, data.path, headers, body)) end
  for place = 1, math.max(1, #data.bodies, #data.authorizations) do
    local headers = {}
    for name, value in pairs(data.headers) do headers[name] = value end
    if #data.authorizations > 0 then headers["Authorization"] = data.authorizations[(place - 1) % #data.authorizations + 1] end
    add(headers, #data.bodies > 0 and data.bodies[(place - 1) % #data.bodies + 1] or data.body)
  end
  local function request()
    at = at % #texts + 1
    return texts[at]
  end
  local function response(status, headers, body)
    if status == 200 then return "good" end
    return "bad", body
  end
  return { request = request, response = response }
end
