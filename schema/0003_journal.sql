-- What the worker reads out of the journals of the spool.  Rows of sessions
-- and presence are upserts that may come in any order and more than once:
-- the greater gen, the first ended, the least first and the greatest last beat
-- stand.  The position of a journal changes in the same transaction.

CREATE TABLE IF NOT EXISTS sessions (
    session    CHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    exam       VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    student    VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    gen        BIGINT UNSIGNED NOT NULL,
    node       VARCHAR(15) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    ip         VARCHAR(45) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
               DEFAULT '',
    login_at   BIGINT NULL,
    ended      ENUM('', 'logout', 'replaced', 'forced', 'exam_over') NOT NULL
               DEFAULT '',
    ended_at   BIGINT NULL,
    PRIMARY KEY (session),
    KEY student (exam, student, gen)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS presence (
    session         CHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    exam            VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    student         VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    first_beat      BIGINT NOT NULL,
    last_beat       BIGINT NOT NULL,
    longest_gap_ms  BIGINT NOT NULL DEFAULT 0,
    seq             BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'highest',
    PRIMARY KEY (session),
    KEY student (exam, student)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS events (
    id           BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
    exam         VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    student      VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    session      CHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    event        VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
                 COMMENT 'the id that the client gave it',
    type         VARCHAR(64) NOT NULL,
    client_time  BIGINT NULL,
    offset_ms    BIGINT NULL,
    received_at  BIGINT NOT NULL,
    node         VARCHAR(15) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    data         TEXT NULL COMMENT 'JSON, at most 4 KB',
    PRIMARY KEY (id),
    UNIQUE KEY event (session, event),
    KEY timeline (exam, student, received_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS journal_positions (
    node        VARCHAR(15) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    journal     VARCHAR(96) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
                COMMENT 'file name in spool/journal',
    position    BIGINT UNSIGNED NOT NULL COMMENT 'bytes taken over',
    updated_at  BIGINT NOT NULL,
    PRIMARY KEY (node, journal)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;
