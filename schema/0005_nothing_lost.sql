-- Commands to candidates and their delivery, the gap ledger, segments that
-- clients gave up, groups of students.  A column is added by a statement that
-- is made up only when it is missing, since each migration may run twice.

SET @ddl = IF((SELECT COUNT(*) FROM information_schema.columns
               WHERE table_schema = DATABASE() AND table_name = 'students'
                     AND column_name = 'group_name') = 0,
              'ALTER TABLE students ADD COLUMN group_name VARCHAR(64)
               CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT \'\',
               ADD KEY group_name (exam, group_name)',
              'DO 0');
PREPARE ddl FROM @ddl;
EXECUTE ddl;
DEALLOCATE PREPARE ddl;

SET @ddl = IF((SELECT COUNT(*) FROM information_schema.columns
               WHERE table_schema = DATABASE() AND table_name = 'commands'
                     AND column_name = 'announced_at') = 0,
              'ALTER TABLE commands ADD COLUMN announced_at BIGINT NULL
               COMMENT \'in the control stream since\'',
              'DO 0');
PREPARE ddl FROM @ddl;
EXECUTE ddl;
DEALLOCATE PREPARE ddl;

SET @ddl = IF((SELECT COUNT(*) FROM information_schema.columns
               WHERE table_schema = DATABASE() AND table_name = 'presence'
                     AND column_name = 'view') = 0,
              'ALTER TABLE presence
               ADD COLUMN view ENUM(\'online\', \'late\', \'offline\') NOT NULL
               DEFAULT \'online\' COMMENT \'as the watcher declared it\',
               ADD COLUMN view_at BIGINT NULL',
              'DO 0');
PREPARE ddl FROM @ddl;
EXECUTE ddl;
DEALLOCATE PREPARE ddl;

-- A state only rises, whatever the order of the reports: queued, sent, expired,
-- confirmed.  Who ran a command has run it, however late the word comes.

CREATE TABLE IF NOT EXISTS deliveries (
    command       BIGINT UNSIGNED NOT NULL,
    student       VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    state         ENUM('queued', 'sent', 'expired', 'confirmed') NOT NULL
                  DEFAULT 'queued',
    session       CHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
                  DEFAULT '' COMMENT 'that confirmed it, else saw it first',
    sent_at       BIGINT NULL,
    confirmed_at  BIGINT NULL,
    PRIMARY KEY (command, student),
    KEY student (student, command)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;

-- A gap lies between two beats of one session.  candidate: the client tried
-- and did not get through; client: it was silent; node: nobody could answer.

CREATE TABLE IF NOT EXISTS gaps (
    session  CHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    from_ms  BIGINT NOT NULL COMMENT 'the beat before',
    to_ms    BIGINT NOT NULL COMMENT 'the beat after',
    exam     VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    student  VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    node     VARCHAR(15) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    cause    ENUM('candidate', 'client', 'node') NOT NULL,
    missed   INT UNSIGNED NOT NULL DEFAULT 0
             COMMENT 'beats that the client lists as not answered',
    PRIMARY KEY (session, from_ms),
    KEY student (exam, student, from_ms)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;

-- What a node could not reach, and when: in this time presence was not seen,
-- though candidates were served.

CREATE TABLE IF NOT EXISTS outages (
    node     VARCHAR(15) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    what     ENUM('redis', 'node') NOT NULL,
    from_ms  BIGINT NOT NULL,
    to_ms    BIGINT NOT NULL,
    PRIMARY KEY (node, what, from_ms)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;

-- Segments that their client will never have.

CREATE TABLE IF NOT EXISTS lost_segments (
    session  CHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    kind     VARCHAR(15) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    n        INT UNSIGNED NOT NULL,
    exam     VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    student  VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    at       BIGINT NOT NULL,
    reason   VARCHAR(255) NOT NULL DEFAULT '',
    PRIMARY KEY (session, kind, n),
    KEY student (exam, student)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;
