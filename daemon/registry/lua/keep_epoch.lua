-- Return the epoch of Redis' data: since when nothing of it can have been lost. A new one begins with each other server
-- (a restart, a fail-over, a restored dump) and when the data is gone.
-- KEYS 1 epoch
-- ARGV 1 ids of all servers, joined by ',' ('' this one alone), 2 id of a new epoch, 3 the epoch that the caller knew ('' none)
-- RETURNS {epoch, servers, age in ms, '1' if something may have been lost when it began and '0' if Redis was new}
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local servers = ARGV[1]
if servers == '' then
  servers = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
end
local present = redis.call('HMGET', KEYS[1], 'id', 'servers', 'since_ms', 'lost')
if present[1] and present[2] == servers then
  local since, lost = tonumber(present[3]), present[4] or '1'
  if now < since then
    redis.call('HSET', KEYS[1], 'since_ms', string.format('%.0f', now))
    since = now
  end
  if lost == '0' and ARGV[3] ~= '' and ARGV[3] ~= present[1] then
    redis.call('HSET', KEYS[1], 'lost', '1')
    lost = '1'
  end
  return {present[1], servers, now - since, lost}
end
local lost = (present[1] or ARGV[3] ~= '') and '1' or '0'
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'id', ARGV[2], 'servers', servers, 'since_ms', string.format('%.0f', now), 'lost', lost)
return {ARGV[2], servers, 0, lost}
