-- Staff: accounts, what they send, write down and change.  audit_log is
-- written in the transaction of the change it tells of.

CREATE TABLE IF NOT EXISTS users (
    user        VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    name        VARCHAR(255) NOT NULL,
    role        ENUM('viewer', 'proctor', 'manager', 'admin') NOT NULL,
    password    VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
                COMMENT 'crypt(3), yescrypt',
    exams       TEXT NULL COMMENT 'JSON list of exam ids, NULL = all',
    disabled    BOOLEAN NOT NULL DEFAULT FALSE,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    PRIMARY KEY (user)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS commands (
    id               BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
    exam             VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    target           TEXT NOT NULL COMMENT 'JSON: all, a group, or students',
    type             VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    payload          TEXT NULL COMMENT 'JSON, at most 2 KB',
    reason           VARCHAR(255) NOT NULL DEFAULT '',
    issued_by        VARCHAR(80) NOT NULL,
    issued_at        BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL,
    canceled_at      BIGINT NULL,
    idempotency_key  VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    PRIMARY KEY (id),
    UNIQUE KEY idempotency (exam, idempotency_key),
    KEY unexpired (exam, expires_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS notes (
    id          BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
    exam        VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    student     VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL
                COMMENT 'NULL = of the exam',
    author      VARCHAR(80) NOT NULL,
    created_at  BIGINT NOT NULL,
    note        TEXT NOT NULL,
    PRIMARY KEY (id),
    KEY student (exam, student, created_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;

CREATE TABLE IF NOT EXISTS audit_log (
    id       BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
    at       BIGINT NOT NULL,
    actor    VARCHAR(80) NOT NULL COMMENT 'a user, or examctl:<system user>',
    action   VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    exam     VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL,
    student  VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL,
    detail   TEXT NULL,
    PRIMARY KEY (id),
    KEY exam (exam, at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;
