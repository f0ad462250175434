-- Changes keys of one slot, if what the change was planned by is still there.
--
-- KEYS  what the program names, by its numbers.
-- ARGV  the program: first what has to be, then what is to be done.
--   G key value           the string at key is value
--   A key                 there is nothing at key
--   H key field value     the field of the hash at key is value
--   N key field           the hash at key has no such field
--   F combos index combo  the combo's place in the sorted set combos is made that
--                         of the first in its sorted set index, or none
--   C key command n ...   command, with key and n more arguments
--
-- Returns {1, what each XADD returned...}, or {0} where something is not as it
-- has to be: then nothing was done.
local out = {1}
local i = 1
while i <= #ARGV do
  local op, key = ARGV[i], KEYS[tonumber(ARGV[i + 1])]
  if op == 'G' then
    if redis.call('GET', key) ~= ARGV[i + 2] then return {0} end
    i = i + 3
  elseif op == 'A' then
    if redis.call('EXISTS', key) ~= 0 then return {0} end
    i = i + 2
  elseif op == 'H' then
    if redis.call('HGET', key, ARGV[i + 2]) ~= ARGV[i + 3] then return {0} end
    i = i + 4
  elseif op == 'N' then
    if redis.call('HEXISTS', key, ARGV[i + 2]) ~= 0 then return {0} end
    i = i + 3
  elseif op == 'F' then
    local first = redis.call('ZRANGE', KEYS[tonumber(ARGV[i + 2])], 0, 0, 'WITHSCORES')
    if first[2] then
      redis.call('ZADD', key, first[2], ARGV[i + 3])
    else
      redis.call('ZREM', key, ARGV[i + 3])
    end
    i = i + 4
  else
    local n = tonumber(ARGV[i + 3])
    local got = redis.call(ARGV[i + 2], key, unpack(ARGV, i + 4, i + 3 + n))
    if ARGV[i + 2] == 'XADD' then out[#out + 1] = got end
    i = i + 4 + n
  end
end
return out
