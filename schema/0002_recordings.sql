-- The index of the evidence.  No foreign key: a recording never waits for
-- another row.  `variant` 1 and up are doubles with other content that came in
-- while nodes were apart; both are kept.

CREATE TABLE IF NOT EXISTS recordings (
    id            BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
    upload_id     VARCHAR(48) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    exam          VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    student       VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    session       CHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    kind          VARCHAR(15) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    n             INT UNSIGNED NOT NULL,
    variant       TINYINT UNSIGNED NOT NULL DEFAULT 0,
    bytes         BIGINT UNSIGNED NOT NULL,
    sha256        BINARY(32) NOT NULL,
    content_type  VARCHAR(127) NOT NULL,
    started_at    BIGINT NULL COMMENT 'as the client sent it',
    duration_ms   BIGINT NULL COMMENT 'as the client sent it',
    offset_ms     BIGINT NULL COMMENT 'of the client clock',
    received_at   BIGINT NOT NULL,
    stored_at     BIGINT NOT NULL,
    node          VARCHAR(15) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    store         VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    path          VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    container     VARCHAR(64) NULL,
    video_codec   VARCHAR(32) NULL,
    audio_codec   VARCHAR(32) NULL,
    width         INT UNSIGNED NULL,
    height        INT UNSIGNED NULL,
    media_ms      BIGINT NULL COMMENT 'measured',
    playable      BOOLEAN NULL COMMENT 'NULL = not probed',
    reason        VARCHAR(255) NULL COMMENT 'why it is not playable',
    PRIMARY KEY (id),
    UNIQUE KEY upload_id (upload_id),
    UNIQUE KEY segment (exam, student, session, kind, n, variant),
    KEY node_stored_at (node, stored_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci;
