# Migrations: an empty server gets the contract's tables; running again, at the
# same time, after a broken one, and against changed or newer ones.

use strict;
use warnings;

use lib 't/lib', 't/examctl/lib';

use Ctl;
use Test::More;

stack(migrate => 0);

my $fresh = spew(dir() . '/fresh.ini', ini(mysql => { database => 'fresh' }));


# ---- before

fails(5, qr/run "examctl migrate"/, 'exam', 'list', { config => $fresh });
fails(5, qr/run "examctl migrate"/, 'exam', 'list');
fails(5, qr/run "examctl migrate"/, 'exam', 'create', 30, '--title', 'x');
fails(5, qr/MySQL: /, 'migrate',
      { config => spew(dir() . '/none.ini',
                       ini(mysql => { socket => dir() . '/none' })) });


# ---- a server without the database, several at the same time

{
    my @pids = map {
        my $pid = fork // die;

        if ($pid == 0) {
            open STDOUT, '>', dir() . "/migrate.$_";
            open STDERR, '>&', \*STDOUT;
            exec Exam::Process::bin('examctl'), '--config', $fresh, 'migrate'
                or POSIX::_exit(127);
        }

        $pid;
    } 1 .. 4;

    my @rc = map { waitpid $_, 0; $? } @pids;

    is("@rc", '0 0 0 0', 'four at the same time')
        or diag(map { slurp(dir() . "/migrate.$_") } 1 .. 4);

    my $all = join '', map { slurp(dir() . "/migrate.$_") } 1 .. 4;
    my $runs = () = $all =~ /^0001_exams\.sql: /mg;

    is($runs, 1, 'each migration runs once');
}

is_deeply([map { $_->[0] } sql('SHOW TABLES', 'fresh')],
          [qw(audit_log commands deliveries events exams gaps
              journal_positions lost_segments notes outages presence
              recordings schema_migrations sessions students users)],
          'the tables of the contract');

is(value("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = "
       . "'fresh' AND engine <> 'InnoDB'", 'fresh'), 0, 'all InnoDB');

is_deeply([sql("SELECT DISTINCT collation_name FROM information_schema.columns"
               . " WHERE table_schema = 'fresh' AND column_name IN ('exam',"
               . " 'student', 'session', 'upload_id', 'node', 'kind')",
               'fresh')],
          [['ascii_bin']], 'ids are compared as bytes');

is_deeply([sql("SELECT column_name FROM information_schema.columns WHERE "
               . "table_schema = 'fresh' AND table_name = 'recordings' "
               . "ORDER BY ordinal_position", 'fresh')],
          [map { [$_] } qw(id upload_id exam student session kind n variant
              bytes sha256 content_type started_at duration_ms offset_ms
              received_at stored_at node store path container video_codec
              audio_codec width height media_ms playable reason)],
          'the columns of recordings');

is_deeply([sql("SELECT index_name, GROUP_CONCAT(column_name ORDER BY "
               . "seq_in_index) FROM information_schema.statistics WHERE "
               . "table_schema = 'fresh' AND table_name = 'recordings' AND "
               . "non_unique = 0 GROUP BY index_name ORDER BY index_name",
               'fresh')],
          [['PRIMARY', 'id'],
           ['segment', 'exam,student,session,kind,n,variant'],
           ['upload_id', 'upload_id']], 'its unique keys');

is_deeply([sql("SELECT column_type FROM information_schema.columns WHERE "
               . "table_schema = 'fresh' AND table_name = 'recordings' AND "
               . "column_name = 'sha256'", 'fresh')],
          [['binary(32)']], 'the hash is binary');

is(value("SELECT COUNT(*) FROM information_schema.key_column_usage WHERE "
       . "table_schema = 'fresh' AND referenced_table_name IS NOT NULL",
       'fresh'), 0, 'no foreign keys');

is_deeply([sql("SELECT DISTINCT table_collation FROM "
               . "information_schema.tables WHERE table_schema = 'fresh' AND "
               . "table_collation NOT LIKE 'utf8mb4%'", 'fresh')],
          [], 'utf8mb4');


# ---- again

like(ok_ctl('migrate', { config => $fresh }),
     qr/\Aschema version \d+, up to date\n\z/, 'nothing to do');


# each may run twice: DDL cannot be rolled back

{
    my $table = sub {
        return join "\n", map { join ' ', map { $_ // '' } @$_ }
            sql("SELECT table_name, column_name, ordinal_position, "
                . "column_type, is_nullable, column_default FROM "
                . "information_schema.columns WHERE table_schema = 'fresh' "
                . "ORDER BY 1, 3", 'fresh'),
            sql("SELECT table_name, index_name, seq_in_index, column_name "
                . "FROM information_schema.statistics WHERE table_schema = "
                . "'fresh' ORDER BY 1, 2, 3", 'fresh');
    };

    my $before = $table->();

    for my $file (sort glob "$Exam::Process::Root/schema/*.sql") {
        my $name = $file =~ s{.*/}{}r;
        ok(eval { sql(slurp($file), 'fresh'); 1 }, "$name runs twice")
            or diag($@);
    }

    is($table->(), $before, 'and nothing is changed by that');
}


# ---- the checksum of what has run, and a number from the future

{
    my $dir = dir() . '/schema';
    mkdir $dir;

    spew("$dir/0001_a.sql", "CREATE TABLE IF NOT EXISTS a (x INT);\n");
    spew("$dir/0002_b.sql", "CREATE TABLE IF NOT EXISTS b (x INT);\n"
                            . "-- a semicolon; in a comment\n"
                            . "INSERT INTO b VALUES (1);\n");
    spew("$dir/README", 'no migration');

    my $config = spew(dir() . '/own.ini',
                      ini(mysql => { database => 'own' }));
    my @own = ('--schema', $dir, { config => $config });

    like(ok_ctl('migrate', @own), qr/0001_a.*0002_b.*schema version 2/s,
         'another folder');

    my ($row) = sql('SELECT HEX(checksum), name FROM schema_migrations '
                    . 'WHERE version = 2', 'own');
    my $sum = uc((split / /, qx(sha256sum $dir/0002_b.sql))[0]);
    is_deeply($row, [$sum, '0002_b.sql'], 'recorded with its SHA-256');

    # broken in the middle, mended, run again
    spew("$dir/0003_c.sql", "CREATE TABLE IF NOT EXISTS c (x INT);\n"
                            . "CREATE TABLE d (x NONSENSE);\n");
    fails(1, qr/0003_c\.sql: /, 'migrate', @own);
    is(value('SELECT MAX(version) FROM schema_migrations', 'own'), 2,
       'not recorded');

    spew("$dir/0003_c.sql", "CREATE TABLE IF NOT EXISTS c (x INT);\n"
                            . "CREATE TABLE IF NOT EXISTS d (x INT);\n");
    like(ok_ctl('migrate', @own), qr/\A0003_c\.sql: \d+ ms\nschema version 3/,
         'the mended one runs again');

    spew("$dir/0002_b.sql", "CREATE TABLE IF NOT EXISTS b (x INT);\n");
    fails(4, qr/"0002_b\.sql" was changed after it had run/, 'migrate', @own);

    unlink "$dir/0003_c.sql";
    fails(4, qr/migration 0003, which .* has not/, 'migrate', @own);

    spew("$dir/0004_e.sql", 'SELECT 1');
    fails(1, qr/0004_e\.sql" is not migration 0003/, 'migrate', @own);

    fails(1, qr/cannot read "\/nonexistent"/, 'migrate', '--schema',
          '/nonexistent', { config => $config });
    fails(1, qr/no migrations in/, 'migrate', '--schema', dir() . '/spool',
          { config => $config });
}


# ---- the program is found through a link, and so is the schema

{
    symlink Exam::Process::bin('examctl'), dir() . '/ctl';
    like(ok_ctl('migrate', { program => dir() . '/ctl', config => $fresh }),
         qr/up to date/, 'through a link');
}

done_testing();
