//! What Redis runs, in Lua: each script is one step that nothing comes between.
//!
//! A group has an epoch, a random text; its values name the epoch that they were made in, and count in no other. To
//! forget a group is to delete its epoch, which works on a full Redis too. A key that holds anything else than what is
//! written here counts as empty, and is written over.

/// The text under a key; nothing where it is of another type or longer than a value can be.
macro_rules! script {
    ($body:literal) => {
        concat!(
            "local function text(key)\n",
            "  local value = redis.pcall('GETRANGE', key, 0, 4096)\n",
            "  if type(value) == 'string' and value ~= '' and #value <= 4096 then return value end\n",
            "end\n",
            "local function epoch_of(key) return string.match(text(key) or '', '^[%w-]+$') end\n",
            "local function set(key, value, life)\n",
            "  local done = redis.pcall('SET', key, value, 'PX', life)\n",
            "  return type(done) == 'table' and done.ok ~= nil\n",
            "end\n",
            $body
        )
    };
}

/// Bytes of a value, at most; the scripts read that and what stands before it.
pub const MAX_BYTES: usize = 3500;

/// KEYS: epoch, value, lock. ARGV: the oldest time that will do, a new epoch and claim, its life, the epoch's.
/// Gives epoch, value and `found`; epoch, nothing and `claimed` or `held`; or nothing where Redis is full.
pub const FETCH: &str = script!(
    "local epoch = epoch_of(KEYS[1])
if not epoch then
  epoch = ARGV[2]
  if not set(KEYS[1], epoch, ARGV[4]) then return {} end
end
local value = text(KEYS[2]) or ''
local of, at = string.match(value, '^(%S+) (%d+) ')
if of == epoch and tonumber(at) >= tonumber(ARGV[1]) then return {epoch, value, 'found'} end
local lock = text(KEYS[3])
if lock and string.match(lock, '^(%S+) ') == epoch then
  local left = redis.call('PTTL', KEYS[3])
  if left >= 0 and left <= tonumber(ARGV[3]) then return {epoch, '', 'held'} end
end
if set(KEYS[3], epoch .. ' ' .. ARGV[2], ARGV[3]) then return {epoch, '', 'claimed'} end
return {epoch, '', 'full'}"
);

/// KEYS: epoch, value. ARGV: the epoch that the value was made in, its time, the value, its life, the epoch's.
pub const KEEP: &str = script!(
    "if epoch_of(KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return set(KEYS[2], ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. ARGV[3], ARGV[4]) and 1 or 0"
);

/// KEYS: lock. ARGV: the claim. Gives the lock back.
pub const RELEASE: &str = script!(
    "if string.match(text(KEYS[1]) or '', ' (%S+)$') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])"
);

/// KEYS: lock. ARGV: the claim, its life.
pub const RENEW: &str = script!(
    "if string.match(text(KEYS[1]) or '', ' (%S+)$') ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])"
);

/// KEYS: epoch. ARGV: a new epoch, its life. Gives the epoch, or an empty text where Redis is full.
pub const EPOCH: &str = script!(
    "local epoch = epoch_of(KEYS[1])
if epoch then return epoch end
return set(KEYS[1], ARGV[1], ARGV[2]) and ARGV[1] or ''"
);

/// KEYS: epoch. ARGV: channel, message.
pub const FORGET: &str = script!(
    "redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1"
);

/// KEYS: epoch, value. ARGV: channel, message, the epoch before the value was decided on, a new epoch, its life, the
/// value's time, the value, its life. Forgets the group; keeps the value if nobody else did so meanwhile.
pub const REPLACE: &str = script!(
    "local alone = epoch_of(KEYS[1]) == ARGV[3]
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[1], ARGV[2])
if alone and set(KEYS[1], ARGV[4], ARGV[5]) then
  set(KEYS[2], ARGV[4] .. ' ' .. ARGV[6] .. ' ' .. ARGV[7], ARGV[8])
end
return 1"
);
