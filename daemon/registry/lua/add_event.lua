-- Append an event to the log. Beyond the bound the oldest go, and what an endpoint had not taken of them is counted.
-- KEYS 1 events, 2 counts
-- ARGV 1 event, 2 most entries
-- RETURNS the entry id
local function after(a, b)
  local a_ms, a_seq = string.match(a, '^(%d+)-(%d+)$')
  local b_ms, b_seq = string.match(b, '^(%d+)-(%d+)$')
  if a_ms ~= b_ms then
    return tonumber(a_ms) > tonumber(b_ms)
  end
  return tonumber(a_seq) > tonumber(b_seq)
end

local id = redis.call('XADD', KEYS[1], '*', 'event', ARGV[1])
local most = tonumber(ARGV[2])
local length = redis.call('XLEN', KEYS[1])
if length <= most then
  return id
end
-- A hundredth more than must be, so that a full log does not do this work at each event.
local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', math.min(length - most + math.floor(most / 100), 1000))
local last = oldest[#oldest][1]
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for at = 1, #flat, 2 do
    group[flat[at]] = flat[at + 1]
  end
  local endpoint = string.match(group['name'], '^to:(.+)$')
  if endpoint and after(last, group['last-delivered-id']) then
    local lost = 0
    for _, entry in ipairs(oldest) do
      if after(entry[1], group['last-delivered-id']) then
        lost = lost + 1
      end
    end
    redis.call('HINCRBY', KEYS[2], 'dropped:' .. endpoint, lost)
    redis.call('XGROUP', 'SETID', KEYS[1], group['name'], last)
  end
end
redis.call('XTRIM', KEYS[1], 'MAXLEN', '=', length - #oldest)
return id
