-- Append an event to the log. Beyond the bound the oldest go, and what an endpoint had not taken of them is counted.
-- Told by who may hold a session, it is appended only if that has no newer holder and it was not told before.
-- KEYS 1 events, 2 counts, then perhaps, if Redis is one server: 3 token, 4 told
-- ARGV 1 event, 2 most entries, then with these keys: 3 the holder's token (0: not a holder's), 4 event id,
--      5 how many told ones are kept (0: this one is not noted), 6 how long (ms)
-- RETURNS the entry id, 0 it was told before, -1 a newer token exists
local function after(a, b)
  local a_ms, a_seq = string.match(a, '^(%d+)-(%d+)$')
  local b_ms, b_seq = string.match(b, '^(%d+)-(%d+)$')
  if a_ms ~= b_ms then
    return tonumber(a_ms) > tonumber(b_ms)
  end
  return tonumber(a_seq) > tonumber(b_seq)
end

if KEYS[3] then
  if tonumber(ARGV[3]) > 0 and tonumber(redis.call('GET', KEYS[3]) or '0') > tonumber(ARGV[3]) then
    return -1
  end
  if redis.call('ZSCORE', KEYS[4], ARGV[4]) then
    return 0
  end
end
local id = redis.call('XADD', KEYS[1], '*', 'event', ARGV[1])
if KEYS[3] and tonumber(ARGV[5]) > 0 then
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[4], tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000), ARGV[4])
  redis.call('ZREMRANGEBYRANK', KEYS[4], 0, -1 - tonumber(ARGV[5]))
  redis.call('PEXPIRE', KEYS[4], ARGV[6])
end
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
