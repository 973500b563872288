-- What every script ends with: one line of JSON for load.py; and how it remembers answers that were not good.
local threads = {}

good, refused, bad, first_bad = 0, 0, 0, ""
statuses = ""  -- of the bad ones, "503 401 503 ": the first hundred of each thread

function judge(status, outcome, why)
  if outcome == "good" then
    good = good + 1
  elseif outcome == "refused" then
    refused = refused + 1
  elseif outcome == "bad" then
    bad = bad + 1
    if bad <= 100 then statuses = statuses .. status .. " " end
    if first_bad == "" then first_bad = tostring(status) .. " " .. tostring(why):sub(1, 150) end
  end
end

function setup(thread)
  table.insert(threads, thread)
  thread:set("number", #threads)
end

local function total(name)
  local sum = 0
  for _, thread in ipairs(threads) do sum = sum + (thread:get(name) or 0) end
  return sum
end

function done(summary, latency, requests)
  local first_bad, statuses = "", ""
  for _, thread in ipairs(threads) do
    if first_bad == "" then first_bad = thread:get("first_bad") or "" end
    statuses = statuses .. (thread:get("statuses") or "")
  end
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "status_errors": %d, "sockets": {"connect": %d, "read": %d, "write": %d, "timeout": %d}, "good": %d, "refused": %d, "bad": %d, "statuses": "%s", "first_bad": "%s"}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect, errors.read, errors.write, errors.timeout, total("good"), total("refused"), total("bad"), statuses,
    (first_bad:gsub("[^%w ./:=_-]", " "))))
end
