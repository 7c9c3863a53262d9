-- The role by which servers of PostgreSQL ask each other who takes writes, and by which one is made a replica of another one:
--     psql --file=pair.sql postgres        on the primary; then \password naru_pair there
-- pg_hba.conf of each server lets it in from all of them and from itself, to the database postgres and for replication.
CREATE ROLE naru_pair LOGIN REPLICATION;
-- Which timeline a replica has heard of.
GRANT pg_monitor TO naru_pair;
-- What pg_rewind reads.
GRANT EXECUTE ON FUNCTION pg_ls_dir(text, boolean, boolean), pg_stat_file(text, boolean), pg_read_binary_file(text),
    pg_read_binary_file(text, bigint, bigint, boolean) TO naru_pair;
-- So that it need not wait for a checkpoint; since PostgreSQL 15.
SELECT 'GRANT pg_checkpoint TO naru_pair' FROM pg_roles WHERE rolname = 'pg_checkpoint' \gexec
