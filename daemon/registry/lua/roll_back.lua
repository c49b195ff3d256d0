-- Have the next start restore a chosen copy: whatever is newer than it and has a token given before now is set aside.
-- One step, so that no holder gets a token that is above what is set aside without seeing the rollback in the record.
-- KEYS 1 record, 2 token
-- ARGV 1 token and 2 generation of the chosen copy, 3 'running', 4 'deleted'
-- RETURNS 1 written, 0 no such record or it is to be deleted, -1 the login of that copy was ended
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('HGET', KEYS[1], 'desired') == ARGV[4] then
  return 0
end
local void = tonumber(redis.call('HGET', KEYS[1], 'void_token') or '0') or 0
if void > 0 and tonumber(ARGV[1]) <= void then
  return -1
end
local given = tonumber(redis.call('GET', KEYS[2]) or '0')
local told = tonumber(redis.call('HGET', KEYS[1], 'token') or '0') or 0
local until_token = string.format('%.0f', math.max(given, told, tonumber(ARGV[1])))
redis.call('HSET', KEYS[1], 'rollback', ARGV[1] .. '-' .. ARGV[2] .. '-' .. until_token, 'desired', ARGV[3])
if redis.call('HGET', KEYS[1], 'paired') == '1' then
  redis.call('HSET', KEYS[1], 'scan_allowed', '0')
end
redis.call('HINCRBY', KEYS[1], 'serial', 1)
return 1
