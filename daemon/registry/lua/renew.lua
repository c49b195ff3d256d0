-- Prolong a lease that is ours. One that ran out is taken again as long as nobody else was given a token since.
-- KEYS 1 lease, 2 token
-- ARGV 1 holder, 2 our token, 3 TTL in ms
-- RETURNS 1 when ours for another TTL, 0 when lost
local mine = ARGV[1] .. '|' .. ARGV[2]
local held = redis.call('GET', KEYS[1])
if held == mine then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return 1
end
if not held and redis.call('GET', KEYS[2]) == ARGV[2] then
  redis.call('SET', KEYS[1], mine, 'PX', ARGV[3])
  return 1
end
return 0
