-- Reviews of broken glass (vitrine_store::reviews): the same logical schema as
-- shared/store-sqlcipher/migrations/server/0009_reviews.sql.

-- When the clock has to look at the review next, ms since 1970. NULL: it is closed. 0, which every grant of before has and
-- every one that a move brings: not known, so it is looked at once.
ALTER TABLE break_glass_grant ADD COLUMN next_look bigint DEFAULT 0;
CREATE INDEX break_glass_grant_look ON break_glass_grant (next_look, at) WHERE next_look IS NOT NULL;
