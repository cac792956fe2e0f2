# examctl audit: what was acknowledged against what is there, each figure once,
# and nothing unexplained while uploads move.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib', 't/examctl/lib';

use Digest::SHA qw(sha256_hex);
use Evidence;
use Exam::Journal qw(journal_file journal_line journal_write);
use Spool;
use Test::More;
use Time::HiRes qw(sleep time);

stack();

my $spool = Exam::spool();
my $recordings = Exam::recordings();

sub sql { return $Spool::Mysql->sql(@_) }


# ---- nothing yet

is(run_ctl('audit', '31')->{rc}, 3, 'an exam that nobody knows');
is(run_ctl('audit', '-x-')->{rc}, 2, 'what is no exam id');
figures_are('an exam without uploads', {});


# ---- on the way: ready, work, part

{
    my @m = map { upload(n => $_, ring => 0) } 0 .. 2;

    figures_are('three in ready/', { acknowledged => 3, in_spool => 3 });

    rename "$spool/ready/$m[0]{id}.info", "$spool/work/$m[0]{id}.info" or die;
    figures_are('one of them in work/', { acknowledged => 3, in_spool => 3 });

    my $part = "$spool/part/" . substr($m[1]{id}, 3, 2);
    mkdir $part;
    rename "$spool/ready/$m[1]{id}.info", "$part/$m[1]{id}.info" or die;
    figures_are('one still in part/, handed over but for its manifest',
                { acknowledged => 3, in_spool => 3 });

    # the part of an upload that is not finished explains nothing
    my $info = Exam::Process::slurp("$part/$m[1]{id}.info");
    Exam::Process::spew("$part/$m[1]{id}.info",
        $info =~ s/"sha256":"\w+"/"sha256":null/r);
    figures_are('a manifest that is not final',
                { acknowledged => 3, in_spool => 2, unexplained => 1 });

    Exam::Process::spew("$spool/ready/$m[1]{id}.info", $info);
    unlink "$part/$m[1]{id}.info";

    # a manifest without its file is nothing
    rename "$spool/ready/$m[2]{id}.rec", "$spool/kept" or die;
    figures_are('a manifest in ready/ whose file is nowhere',
                { acknowledged => 3, in_spool => 2, unexplained => 1 });
    rename "$spool/kept", "$spool/ready/$m[2]{id}.rec" or die;

    start_worker();
    ok(settled($_), 'stored') for @m;
    figures_are('all stored', { acknowledged => 3, stored => 3 });
    is(audit('30')->{bytes}, $m[0]{length} + $m[1]{length} + $m[2]{length},
       'acknowledged bytes');
}


# ---- the line for people

{
    my $got = run_ctl('audit', '30');

    like($got->{out}, qr/\Aacknowledged 3 = stored 3 \+ in spool 0 \+ bad 0, /,
         'one line begins with the sum');
    like($got->{out}, qr/, unexplained 0; bytes \d+, doubles 0, .*lines 0\n\z/,
         'and goes on with more');
    is("$got->{rc}$got->{err}", '0', 'exit code 0 in silence');
}


# ---- each figure

{
    my $m = upload(n => 10);
    ok(settled($m), 'stored');

    my $base = { acknowledged => 4, stored => 4 };
    my $lost = { acknowledged => 4, stored => 3, unexplained => 1 };
    my $id = $m->{id};

    figures_are('whole', $base);

    # a row is gone
    sql("CREATE TABLE kept AS SELECT * FROM recordings WHERE upload_id ="
        . " '$id'");
    sql("DELETE FROM recordings WHERE upload_id = '$id'");
    figures_are('a row is missing', { %$lost, files_without_row => 1 });

    my $list = run_ctl('audit', '30', '--list');
    like($list->{out}, qr/^  $id  S001  $m->{session}  screen 10  \d+ bytes: /m,
         'it is named');
    like($list->{out}, qr/: it has a file in the store, but no row$/m,
         'with what is wrong');
    is($list->{rc}, 1, 'exit code 1');

    my $json = audit('30', '--list');
    is_deeply([map { [@$_{qw(id n why)}] } @{ $json->{list} }],
              [[$id, 10, 'it has a file in the store, but no row']],
              'in JSON, too');

    sql("INSERT INTO recordings SELECT * FROM kept");
    figures_are('the row is back', $base);

    # a row says something else than the receipt
    sql("UPDATE recordings SET sha256 = REPEAT('x', 32) WHERE upload_id ="
        . " '$id'");
    figures_are('a row with another hash',
                { %$lost, files_without_row => 1 });
    sql("DELETE FROM recordings WHERE upload_id = '$id'");
    sql("INSERT INTO recordings SELECT * FROM kept");

    # a file is gone
    rename path($m), "$spool/kept" or die;
    figures_are('a file is missing', { %$lost, rows_without_file => 1 });
    like(run_ctl('audit', '30', '--list')->{out},
         qr/$id .*: it has a row, but no file$/m, 'it is named');

    # another size, another content
    Exam::Process::spew(path($m), 'short');
    figures_are('a file of another size', { %$lost, wrong_files => 1 });

    Exam::Process::spew(path($m), 'x' x $m->{length});
    figures_are('other bytes of the same size: not seen', $base);
    figures_are('but seen with --hash', { %$lost, wrong_files => 1 },
                '--hash');

    rename "$spool/kept", path($m) or die;
    figures_are('the file is back', $base, '--hash');

    # nowhere at all
    my $n = { %$m, id => upload_id(), n => 11, length => 5,
              sha256 => sha256_hex('again') };
    receipt($n);
    figures_are('a receipt without anything',
                { acknowledged => 5, stored => 4, unexplained => 1 });
    like(run_ctl('audit', '30', '--list')->{out},
         qr/$n->{id}  S001  \w+  screen 11  \d+ bytes: it is nowhere$/,
         'it is named');

    # its content came by another upload
    my $other = upload(n => 11, data => 'agein');
    ok(settled($other), 'other content of the segment');
    figures_are('does not explain it',
                { acknowledged => 6, stored => 5, unexplained => 1 });

    my $d = upload(n => 11, data => 'again');
    ok(settled($d), 'the same segment by another upload');
    figures_are('the same content under another id is a double',
                { acknowledged => 7, stored => 7, doubles => 1 });

    unlink path($d) or die;
    figures_are('a double whose file is gone explains nothing',
                { acknowledged => 7, stored => 5, unexplained => 2,
                  rows_without_file => 1 });
    Exam::Process::spew(path($d), 'again');
}

{
    my $base = { acknowledged => 7, stored => 7, doubles => 1 };

    # the worker puts it aside
    my $bad = upload(n => 20, data => 'whole', sha256 => 'ab' x 32,
                     id => upload_id('0'));
    ok((wait_for { -e "$spool/bad/$bad->{id}.info" }), 'a damaged file');

    $base = { %$base, acknowledged => 8, bad => 1, refused => 1 };
    figures_are('is bad, not lost', $base);

    rename "$spool/bad/$bad->{id}.rec", "$spool/kept" or die;
    figures_are('unless its file is gone', { %$base, bad => 0, refused => 0,
                                             unexplained => 1 });
    rename "$spool/kept", "$spool/bad/$bad->{id}.rec" or die;

    # no receipt
    my $quiet = offer(n => 21);
    ok(settled($quiet), 'stored, its receipt was never written');
    $base->{rows_without_receipt} = 1;
    figures_are('a row without receipt', $base);

    rename path($quiet), "$spool/kept" or die;
    figures_are('speaks for itself when its file is missing',
                { %$base, acknowledged => 9, unexplained => 1,
                  rows_without_file => 1 });
    rename "$spool/kept", path($quiet) or die;

    # a file that nothing speaks of
    my $stray = path({ %$quiet, id => upload_id(), n => 22 });
    Exam::Process::spew($stray, 'stray');
    figures_are('a file without row', { %$base, files_without_row => 1 });
    unlink $stray;

    # given up
    sql("INSERT INTO lost_segments VALUES ('$quiet->{session}', 'screen', 30,"
        . " '30', 'S001', 1, '')");
    $base->{lost} = 1;
    figures_are('lost by its client', $base);

    # other exams, other nodes
    receipt({ %$quiet, exam => '29', id => upload_id() });
    figures_are('receipts of another exam', $base);
    sql("UPDATE recordings SET node = 'n9' WHERE upload_id = '$quiet->{id}'");
    rename path($quiet), "$spool/kept" or die;
    figures_are('a row of another node, whose store is elsewhere',
                { %$base, rows_without_receipt => 0 });
    rename "$spool/kept", path($quiet) or die;
    sql("UPDATE recordings SET node = 't1' WHERE upload_id = '$quiet->{id}'");
}


# ---- journals

{
    my $before = audit('30');
    my $m = offer(n => 40);
    ok(settled($m), 'stored');

    my $line = journal_line(type => 'receipt', upload => $m->{id},
        bytes => $m->{length}, map { $_ => $m->{$_} } qw(kind n sha256));
    my $file = journal_file(pid => 7);

    journal_write($file, $line =~ s/"n":40/"n":41/r);
    is(audit('30')->{damaged_lines}, 1, 'a line with a wrong CRC is counted');
    is(audit('30')->{acknowledged}, $before->{acknowledged}, 'and no receipt');

    journal_write($file, substr $line, 0, 60);
    is(audit('30')->{damaged_lines}, 1, 'a torn tail is not');

    journal_write($file, substr($line, 60), $line);
    my $after = audit('30');
    is($after->{acknowledged}, $before->{acknowledged} + 1,
       'whole, and twice: one receipt');
    is($after->{stored}, $before->{stored} + 1, 'stored');

    journal_write($file, 'x' x 400_000, "\n", $line);
    $after = audit('30');
    is($after->{damaged_lines}, 2, 'a line without end is one damaged line');
    is($after->{unexplained}, 0, 'nothing is missed for that');

    Exam::Process::spew("$spool/journal/notes.txt", "no journal\n");
    is(audit('30')->{damaged_lines}, 2, 'a file of another name is not read');
}


# ---- MySQL away

{
    my $ini = Exam::Process::slurp(Exam::dir() . '/exam.ini');

    Exam::Process::spew(Exam::dir() . '/exam.ini',
                        $ini =~ s/(\[mysql\].*?socket = )\S+/$1none/sr);
    my $got = run_ctl('audit', '30');
    is($got->{rc}, 5, 'MySQL away: exit code 5');
    like($got->{err}, qr/^examctl: MySQL: /, 'and it says so');
    is($got->{out}, '', 'no line');
    Exam::Process::spew(Exam::dir() . '/exam.ini', $ini);
}


# ---- while uploads run

{
    my $before = audit('30');
    my $out = Exam::dir() . '/follow';

    my $follow = Exam::Process->start('follow', $out,
        Exam::Process::bin('examctl'), '--config', Exam::dir() . '/exam.ini',
        'audit', '30', '--follow', '--json');

    ok((wait_for { Exam::Process::slurp($out) =~ /\n/ }), 'a line at once');

    my ($n, $once, @last) = (0, 0);
    my $end = time + 6;

    while (time < $end) {
        push @last, upload(n => $n++, kind => 'camera', data => "live $n");
        upload(n => $n - 1, kind => 'camera', data => "live $n")
            if $n % 7 == 0;
        $once += audit('30')->{unexplained} != 0 if $n % 5 == 0;
        sleep 0.01;
    }

    ok(settled($last[-1]), 'the last one is stored');
    ok((wait_for { !files("$spool/ready") && !files("$spool/work") }),
       'all are');

    my $all = audit('30')->{acknowledged};

    ok((wait_for { Exam::Process::slurp($out)
                   =~ /\A.*"acknowledged":$all,[^\n]*"in_spool":0,[^\n]*\n\z/s
       }), 'the last line says so');

    my $lines = () = Exam::Process::slurp($out) =~ /\n/g;
    sleep 2.2;
    my $later = () = Exam::Process::slurp($out) =~ /\n/g;
    is($later, $lines, 'a line comes only when something has changed');

    kill 'INT', $follow->pid;
    ok((wait_for { !$follow->running }), 'SIGINT ends it');
    is($follow->{status} >> 8, 0, 'exit code 0');

    my @lines = map { json($_) } split /\n/, Exam::Process::slurp($out);

    cmp_ok(scalar(@lines), '>=', 4, 'lines came');
    cmp_ok(scalar(grep { $_->{in_spool} > 0 } @lines), '>=', 1,
           'some while uploads were in the spool');
    is_deeply([grep { $_->{unexplained} != 0 } @lines], [],
              'nothing was ever unexplained');
    is_deeply([grep { $_->{files_without_row} != 0 } @lines], [],
              'no file without row');
    is($once, 0, 'nor for an audit that looked once');
    is_deeply([grep { $_->{acknowledged} != $_->{stored} + $_->{in_spool}
                      + $_->{bad} } @lines], [], 'each was counted once');
    cmp_ok($lines[-1]{acknowledged}, '>', $before->{acknowledged} + 50,
           'many uploads');
    cmp_ok($lines[-1]{doubles}, '>', $before->{doubles}, 'doubles among them');
}

stop_worker();
done_testing();
