-- Exams and their rosters: what examctl and exam-api change, and what is
-- copied to Redis by service/exam_live.c.
--
-- Rules of all migrations: forward only, never edited once released (the
-- checksum is recorded), and each may run twice, because DDL cannot be rolled
-- back.  Ids are compared as bytes.  Times are Unix milliseconds, UTC.

CREATE TABLE IF NOT EXISTS exams (
    id          VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    title       VARCHAR(255) NOT NULL,
    state       ENUM('draft', 'open', 'closed', 'archived') NOT NULL
                DEFAULT 'draft',
    starts_at   BIGINT NOT NULL,
    ends_at     BIGINT NOT NULL,
    pause_ms    BIGINT NOT NULL DEFAULT 0 COMMENT 'finished pauses',
    paused_at   BIGINT NOT NULL DEFAULT 0 COMMENT '0 = not paused now',
    version     BIGINT NOT NULL
                COMMENT 'rises with each change of exam, roster or flags',
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS students (
    exam         VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    student      VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    name         VARCHAR(255) NOT NULL,
    seat         VARCHAR(64) NOT NULL DEFAULT '',
    code_sha256  BINARY(32) NOT NULL COMMENT 'of exam|student|code',
    suspended    BOOLEAN NOT NULL DEFAULT FALSE,
    locked       BOOLEAN NOT NULL DEFAULT FALSE,
    paused       BOOLEAN NOT NULL DEFAULT FALSE,
    finish       BOOLEAN NOT NULL DEFAULT FALSE,
    extra_s      INT NOT NULL DEFAULT 0 COMMENT 'seconds more than the others',
    created_at   BIGINT NOT NULL,
    PRIMARY KEY (exam, student)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;
