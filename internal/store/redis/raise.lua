-- Sets a value to a later generation, and leaves one that is later.
--
-- KEYS  1 a string, or a hash
-- ARGV  1 the generation, a number
--       2 what to set: the generation and what follows it
--       3 the field of the hash; empty: KEYS[1] is a string
local have
if ARGV[3] == '' then
  have = redis.call('GET', KEYS[1])
else
  have = redis.call('HGET', KEYS[1], ARGV[3])
end
if have and tonumber(string.match(have, '^%d+')) >= tonumber(ARGV[1]) then return 0 end
if ARGV[3] == '' then
  redis.call('SET', KEYS[1], ARGV[2])
else
  redis.call('HSET', KEYS[1], ARGV[3], ARGV[2])
end
return 1
