-- Become or stay the leading coordinator.
-- KEYS 1 leader
-- ARGV 1 who, 2 TTL in ms
-- RETURNS 1 leading, 0 somebody else leads
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
