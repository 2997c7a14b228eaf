-- history.db as the first release wrote it; never to be changed.
BEGIN TRANSACTION;
CREATE TABLE entries (
            run      TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
            position INTEGER NOT NULL,           -- in the plan, from 0
            device   TEXT NOT NULL,
            host     TEXT NOT NULL,
            action   TEXT NOT NULL,
            agent    TEXT,
            model    TEXT,
            task_id  TEXT,
            task     TEXT,                       -- the words given to the agent
            PRIMARY KEY (run, position)
        );
INSERT INTO "entries" VALUES('01ARYZ6S410000000000000000',0,'deck','deck@deck.local','dispatch','demo',NULL,NULL,'report disk space');
CREATE TABLE migrations (name TEXT PRIMARY KEY) WITHOUT ROWID;
INSERT INTO "migrations" VALUES('runs_and_results');
CREATE TABLE results (
            run         TEXT NOT NULL,
            position    INTEGER NOT NULL,
            state       TEXT NOT NULL,
            host        TEXT NOT NULL,
            agent       TEXT,
            exit_status INTEGER,
            truncated   INTEGER NOT NULL,
            stdout_file TEXT,
            stderr_file TEXT,
            seconds     REAL NOT NULL,
            attempts    INTEGER NOT NULL,
            started     TEXT NOT NULL,
            files       TEXT NOT NULL,           -- JSON, as are the next three
            usage       TEXT,
            error       TEXT,
            facts       TEXT,
            stdout      BLOB NOT NULL,
            stderr      BLOB NOT NULL,
            raw_stdout  BLOB,
            PRIMARY KEY (run, position),
            FOREIGN KEY (run, position) REFERENCES entries ON DELETE CASCADE
        );
INSERT INTO "results" VALUES('01ARYZ6S410000000000000000',0,'done','deck@deck.local:22','demo',0,0,NULL,NULL,0.5,1,'2026-01-02T03:04:05Z','[]',NULL,NULL,NULL,X'00FF616E73776572',X'',NULL);
CREATE TABLE runs (
            run         TEXT PRIMARY KEY,
            command     TEXT NOT NULL,
            started     TEXT NOT NULL,           -- RFC 3339, UTC
            seconds     REAL NOT NULL DEFAULT 0, -- up to the last thing recorded
            interrupted INTEGER NOT NULL DEFAULT 0,
            finished    INTEGER NOT NULL DEFAULT 0
        ) WITHOUT ROWID;
INSERT INTO "runs" VALUES('01ARYZ6S410000000000000000','dispatch','2026-01-02T03:04:05Z',0.6,0,1);
CREATE INDEX entries_of_device ON entries (device, run);
COMMIT;
