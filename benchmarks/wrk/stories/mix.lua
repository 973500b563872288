-- Several stories on one connection, in the shares of a deck of cards that is shuffled for each connection.
return function(data, number)
  local stories, deck, at, now = {}, data.deck, 0, nil
  for name, part in pairs(data.parts) do
    stories[name] = dofile("stories/" .. part.script .. ".lua")(part.data, number)
  end
  math.randomseed(number)
  for place = #deck, 2, -1 do
    local other = math.random(place)
    deck[place], deck[other] = deck[other], deck[place]
  end
  local function request()
    if not now then
      at = at % #deck + 1
      now = stories[deck[at]]
    end
    return now.request()
  end
  local function response(status, headers, body)
    local outcome, why = now.response(status, headers, body)
    if outcome then now = nil end
    return outcome, why
  end
  return { request = request, response = response }
end
