-- The pause of one student is added to this student's end when it is over
-- (extra_s), without what the exam itself was paused meanwhile.  So its begin
-- is kept on the exam's clock, which stands still while the exam is paused.

SET @ddl = IF((SELECT COUNT(*) FROM information_schema.columns
               WHERE table_schema = DATABASE() AND table_name = 'students'
                     AND column_name = 'paused_from') = 0,
              'ALTER TABLE students ADD COLUMN paused_from BIGINT NOT NULL
               DEFAULT 0 COMMENT \'ms less pauses of the exam; 0 not paused\'',
              'DO 0');
PREPARE ddl FROM @ddl;
EXECUTE ddl;
DEALLOCATE PREPARE ddl;
