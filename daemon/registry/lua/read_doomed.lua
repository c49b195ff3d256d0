-- Read the highest token of a session that is to be deleted and that nobody runs.
-- KEYS 1 record, 2 lease, 3 token
-- ARGV 1 the word of a session that is to be deleted
-- RETURNS the token, -1 held or wanted, -2 there is no record
local found = redis.call('HMGET', KEYS[1], 'desired', 'token')
if not found[1] then
  return -2
end
if found[1] ~= ARGV[1] or redis.call('EXISTS', KEYS[2]) == 1 then
  return -1
end
return math.max(tonumber(redis.call('GET', KEYS[3]) or '0'), tonumber(found[2] or '0') or 0)
