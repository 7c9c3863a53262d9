-- The role by which prometheus-postgres-exporter asks: counters of all sessions and databases, and no table of Naru's.
--     EXPORTER_PASSWORD_FILE=docker/secrets/postgres_exporter psql --file=exporter.sql naru
-- as a superuser, on the primary; again when the password is another one. pg_hba.conf lets it in from where the exporter runs.
\set ON_ERROR_STOP on
\set password `cat "$EXPORTER_PASSWORD_FILE"`
SELECT :'password' = '' AS is_missing \gset
\if :is_missing
\warn 'EXPORTER_PASSWORD_FILE names no file with a password: nothing was done'
\quit
\endif
SELECT 'CREATE ROLE naru_exporter LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'naru_exporter') \gexec
-- Not pg_monitor: that reads settings, too, among them what a standby logs in with.
GRANT pg_read_all_stats TO naru_exporter;
-- The password as it is would stand in the log of a server that writes statements down.
SET password_encryption = 'scram-sha-256';
SET log_statement = 'none';
SET log_min_duration_statement = -1;
ALTER ROLE naru_exporter CONNECTION LIMIT 5 PASSWORD :'password';
