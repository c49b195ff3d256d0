-- Free a lease that a provably dead process left behind; a lease of anybody else stays.
-- KEYS 1 lease
-- ARGV 1 what the dead process's holders begin with
-- RETURNS 1 when freed, 0 otherwise
local held = redis.call('GET', KEYS[1])
if held and ARGV[1] ~= '' and string.sub(held, 1, #ARGV[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
