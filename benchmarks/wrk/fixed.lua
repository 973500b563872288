-- One request again and again, or each of a list once.
dofile("common.lua")

local texts, at

function init(args)
  local data = dofile(args[1])
  texts, at = {}, 0
  for _, body in ipairs(#data.bodies > 0 and data.bodies or { data.body }) do
    table.insert(texts, wrk.format(data.method, data.path, data.headers, body))
  end
end

function request()
  at = at % #texts + 1
  return texts[at]
end
