# examctl backup and restore: everything there and back, and nothing that is
# half done.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib', 't/examctl/lib';

use Digest::SHA qw(sha256_hex);
use Evidence;
use Spool;
use Test::More;
use Time::HiRes qw(sleep);

stack();

my $dir = Exam::dir();
my $keys = Exam::keys_file();
my @tables = qw(exams students sessions presence events commands deliveries
    gaps outages lost_segments notes users audit_log journal_positions);


sub sql { return $Spool::Mysql->sql(@_) }

sub all { return join "\n", map { ("$_:", table($_)) } @tables }

sub ok_ctl {
    my (@args) = @_;

    my $got = run_ctl(@args);
    is("$got->{rc}$got->{err}", '0', "examctl $args[0]");
    return $got->{out};
}

sub refused {
    my ($name, $rc, $like, @args) = @_;

    my $got = run_ctl(@args);
    is($got->{rc}, $rc, $name);
    like($got->{err}, $like, '  which it says');
}

# The same backup with another last line.

sub sealed {
    my ($text, %end) = @_;

    my ($body, $end) = $text =~ /\A(.*\n)(\{"end".*\n)\z/s or die;
    my $hash = sha256_hex($body);

    $end =~ s/"sha256":"\w+"/"sha256":"$hash"/;
    $end =~ s/"$_":\d+/"$_":$end{$_}/ for keys %end;
    return $body . $end;
}


# ---- rows of all tables, with all that text can be

ok_ctl('migrate');

my $odd = q{"quoted" \\\\ back, new\nline, tab\t, 汉字 and \0 NUL};
my $sid = '0123456789abcdef' x 2;
my $huge = '9007199254740991';

sql("SET NAMES utf8mb4; $_") for
    "INSERT INTO exams VALUES ('e-2', '$odd', 'draft', -5, 0, $huge, 1, 2, 3)",
    "INSERT INTO students (exam, student, name, code_sha256, created_at, seat,"
        . " group_name, extra_s) VALUES ('30', 'S001', '$odd',"
        . " UNHEX(REPEAT('00ff7f80', 8)), 1, '', 'g', -60)",
    "INSERT INTO sessions VALUES ('$sid', '30', 'S001', $huge, 't1', '::1',"
        . " NULL, 'forced', 5), (REPEAT('f', 32), '30', 'S001', 1, 't1', '',"
        . " 1, '', NULL)",
    "INSERT INTO presence VALUES ('$sid', '30', 'S001', 1, 2, 3, 4, 'late',"
        . " NULL)",
    "INSERT INTO events VALUES (77, '30', 'S001', '$sid', 'e.1', 'focus',"
        . " NULL, -9, 5, 't1', '$odd'), (78, '30', 'S001', '$sid', 'e.2',"
        . " 'x', 1, NULL, 5, 't1', NULL)",
    "INSERT INTO commands (id, exam, target, type, payload, issued_by,"
        . " issued_at, expires_at) VALUES (9, '30', '\"all\"', 'lock', NULL,"
        . " 'me', 1, 2)",
    "INSERT INTO deliveries VALUES (9, 'S001', 'confirmed', '$sid', 1, NULL)",
    "INSERT INTO gaps VALUES ('$sid', 1, 2, '30', 'S001', 't1', 'node', 3)",
    "INSERT INTO outages VALUES ('t1', 'redis', 1, 2)",
    "INSERT INTO lost_segments VALUES ('$sid', 'screen', 5, '30', 'S001', 1,"
        . " '$odd')",
    "INSERT INTO notes VALUES (3, '30', NULL, 'me', 1, '$odd')",
    "INSERT INTO users VALUES ('root', '$odd', 'admin', '\$y\$x', NULL, 1, 2,"
        . " 3)",
    "INSERT INTO audit_log VALUES (5, 1, 'me', 'x', NULL, NULL, NULL)",
    "INSERT INTO journal_positions VALUES ('t1', 'b-1-1.log', $huge, 1)";

is((sql("SELECT COUNT(*) FROM $_"))[0][0] > 0, 1, "$_ has rows") for @tables;

start_worker();
my @m = map { offer(n => $_ >> 1, data => "m $_") } 0 .. 3;
ok(settled($_), 'stored') for @m;
stop_worker();

my $was = all();
my $recordings = table('recordings', 'id');
my $key_bytes = Exam::Process::slurp($keys);
my $file = "$dir/backup";


# ---- there and back

like(ok_ctl('backup', $file), qr/^\d+ rows of 14 tables are in "\Q$file\E"$/,
     'it tells what it has done');
is((stat $file)[2] & 07777, 0600, 'only its owner reads it');
is(all(), $was, 'nothing has changed');

my $backup = Exam::Process::slurp($file);
my ($head) = $backup =~ /\A(.*)\n/;
is(json($head)->{exam_monitor_backup}, 1, 'the first line has the format');
like($head, qr/"schema":\d+/, 'and the schema');
is(scalar(grep { !eval { json($_); 1 } } split /\n/, $backup), 0,
   'each line is JSON');
like($backup, qr/\n\["30","S001",.*"(?:00ff7f80){8}"/, 'bytes are hex');

refused('a file that exists is not replaced', 4, qr/exists; --force/,
        'backup', $file);
ok_ctl('backup', $file, '--force');

sql('DROP DATABASE exam');
refused('restore before migrate', 5, qr/examctl migrate/, 'restore', $file);
unlink $keys or die;
ok_ctl('migrate');
like(ok_ctl('restore', $file), qr/rows restored\nkeys are in "\Q$keys\E"/,
     'restored');
is(all(), $was, 'all tables are as they were');
is(Exam::Process::slurp($keys), $key_bytes, 'so is the key file');

sql("INSERT INTO commands (exam, target, type, issued_by, issued_at,"
    . " expires_at) VALUES ('30', '', 'x', 'me', 1, 2)");
cmp_ok((sql("SELECT id FROM commands WHERE type = 'x'"))[0][0], '>', 1_000_000,
       'no command gets the id of one that was sent since the backup');
sql("DELETE FROM commands WHERE type = 'x'");

is((stat $keys)[2] & 07777, 0600, 'only its owner reads it');
ok_ctl('rebuild-index');
is(table('recordings', 'id'), $recordings, 'recordings by rebuild-index');
is((grep { /^(?!backup$).*backup/ } files($dir)), 0, 'no temporary file');

ok_ctl('backup', "$dir/again");
my ($again, $first) = map { s/"created_at":\d+//r =~ s/\{"end.*//r }
                      Exam::Process::slurp("$dir/again"), $backup;
is($again, $first, 'saved again: the same');


# ---- what is there stays

refused('a database that is not empty', 4, qr/not empty: table "exams"/,
        'restore', $file);
is(all(), $was, 'stays as it is');

sql("INSERT INTO notes VALUES (4, '30', NULL, 'me', 1, 'later')");
sql("DELETE FROM students");
Exam::Process::spew($keys, "other\n");
ok_ctl('restore', $file, '--replace');
is(all(), $was, 'with --replace it is replaced');
is(Exam::Process::slurp($keys), $key_bytes, 'the key file, too');

sql("DELETE FROM $_") for @tables;
Exam::Process::spew($keys, "other\n");
like(ok_ctl('restore', $file), qr/"\Q$keys\E" exists and stays/,
     'a key file that is there stays');
is(Exam::Process::slurp($keys), "other\n", 'indeed');

ok_ctl('backup', "$dir/nokeys", '--no-keys');
unlike(Exam::Process::slurp("$dir/nokeys"), qr/"keys"/, 'without keys');
ok_ctl('restore', "$dir/nokeys", '--replace');
is(Exam::Process::slurp($keys), "other\n", 'none are written');

unlink $keys;
ok_ctl('backup', "$dir/none");
unlike(Exam::Process::slurp("$dir/none"), qr/"keys"/, 'there are none');
Exam::Process::spew($keys, $key_bytes);


# ---- torn, altered, of another time: refused, whatever stands in it

{
    my $bad = "$dir/bad";

    sql("INSERT INTO notes VALUES (5, '30', NULL, 'me', 1, 'precious')");
    my $now = all();
    my @wrong = 0;

    for my $n (map { int(length($backup) * $_ / 23) } 0 .. 22) {
        Exam::Process::spew($bad, substr $backup, 0, $n);
        my $got = run_ctl('restore', $bad, '--replace');
        push @wrong, "cut at $n: $got->{rc}" if $got->{rc} != 1;
    }

    is("@wrong", '0', 'a file that is cut off is refused, wherever');

    Exam::Process::spew($bad, substr $backup, 0, -1);
    refused('without its last newline', 1, qr/cut off/, 'restore', $bad,
            '--replace');

    @wrong = 0;

    for my $n (map { int((length($backup) - 1) * $_ / 37) } 0 .. 37) {
        my $text = $backup;
        substr($text, $n, 1) ^= "\x01";
        Exam::Process::spew($bad, $text);
        my $got = run_ctl('restore', $bad, '--replace');
        push @wrong, "byte $n: $got->{rc}" if $got->{rc} !~ /^[14]$/;
    }

    is("@wrong", '0', 'one byte altered is refused, wherever');

    Exam::Process::spew($bad, "$backup$backup");
    refused('a file twice', 1, qr/more behind its end/, 'restore', $bad,
            '--replace');

    Exam::Process::spew($bad, sealed($backup, notes => 7));
    refused('other counts', 1, qr/counts other rows/, 'restore', $bad,
            '--replace');

    Exam::Process::spew($bad, sealed($backup =~ s/"schema":\d+/"schema":99/r));
    refused('a newer schema', 4, qr/schema 99/, 'restore', $bad, '--replace');

    Exam::Process::spew($bad, sealed($backup =~ s/_backup":1/_backup":2/r));
    refused('a newer format', 4, qr/newer version/, 'restore', $bad,
            '--replace');

    Exam::Process::spew($bad, sealed($backup =~ s/"group_name"/"gruppe"/r));
    refused('a column that is not there', 1, qr/has a column/, 'restore',
            $bad, '--replace');

    Exam::Process::spew($bad,
                        sealed($backup =~ s/"table":"notes"/"table":"x"/r));
    refused('a table that is none of ours', 1, qr/is no table/, 'restore',
            $bad, '--replace');

    # all but one row go in, and out again
    Exam::Process::spew($bad, sealed($backup =~ s/"b-1-1.log"/null/r));
    refused('a row that the table refuses', 1, qr/MySQL: /, 'restore', $bad,
            '--replace');

    is(all(), $now, 'after all of them nothing has changed');
    is(Exam::Process::slurp($keys), $key_bytes, 'nor has the key file');
    is((grep { /restore/ } files($dir)), 0, 'no temporary file is left');

    refused('a file that is not there', 1, qr/cannot open/, 'restore',
            "$dir/nothing");
    refused('a folder that is not there', 1, qr/cannot make/, 'backup',
            "$dir/no/where");
}


# ---- one moment of the database, and none that is half

{
    sql("INSERT INTO events SELECT 1000 + seq, '30', 'S001', '$sid',"
        . " CONCAT('b', seq), 'x', 1, 1, 1, 't1', REPEAT('x', 1000)"
        . " FROM seq_1_to_60000");

    my $half = "$dir/half";
    my ($left, $killed) = (0, 0);

    for my $ms (5, 20, 50, 100, 200) {
        my $p = Exam::Process->start('backup', "$dir/log",
            Exam::Process::bin('examctl'), '--config', "$dir/exam.ini",
            'backup', $half);

        wait_for { my @tmp = glob "$half.*"; @tmp || !$p->running };
        sleep $ms / 1000;
        kill 'KILL', $p->pid if $p->running;
        wait_for { return !$p->running };

        $killed++ if $p->{status} & 127;
        $left++ if $p->{status} & 127 && -e $half;
        unlink $half, glob "$half.*";
    }

    cmp_ok($killed, '>=', 2, 'a backup is killed on its way');
    is($left, 0, 'none left a file of its name');

    # rows that come meanwhile are not in it, or all of one moment are
    my $p = Exam::Process->start('backup', "$dir/log",
        Exam::Process::bin('examctl'), '--config', "$dir/exam.ini", 'backup',
        $half);

    my $n = 0;

    while ($p->running) {
        $n++;
        sql("START TRANSACTION; INSERT INTO exams (id, title, state,"
            . " starts_at, ends_at, version, created_at) VALUES ('x$n', '',"
            . " 'open', 1, 1, 1, 1); INSERT INTO journal_positions VALUES"
            . " ('x', 'x$n', 1, 1); COMMIT");
    }

    my $text = Exam::Process::slurp($half);
    my $exams = () = $text =~ /^\["x\d+",/mg;
    my $positions = () = $text =~ /^\["x","x\d+",/mg;

    cmp_ok($n, '>', 1, 'rows came while it was written');
    is($exams, $positions, 'the first table and the last are of one moment');

    sql("CREATE TABLE surprise (id INT)");
    refused('a table that nobody has told it of', 1, qr/table "surprise"/,
            'backup', "$dir/more");
    ok(!-e "$dir/more", 'no file');
    sql("DROP TABLE surprise");

    my $now = all();
    sql("DELETE FROM $_") for @tables;
    ok_ctl('restore', $half);
    is((sql("SELECT COUNT(*), SUM(LENGTH(data)) FROM events"
            . " WHERE id > 1000"))[0][1], 60_000_000, 'many rows restored');
}

done_testing();
