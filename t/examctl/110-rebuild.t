# examctl rebuild-index: the rows of recordings from the store, byte for byte.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib', 't/examctl/lib';

use Evidence;
use Spool;
use Test::More;

stack();

my $spool = Exam::spool();


sub sql { return $Spool::Mysql->sql(@_) }

sub recordings { return table('recordings', 'id') }


# A run; its last lines as { side-cars => n, right => n, ... }.

sub rebuild {
    my (@args) = @_;

    my $got = run_ctl('rebuild-index', @args);

    $got->{n} = { map { /\b(side-cars|right|add|added|repair|repaired|refused
        |worker|unusable\ side-cars|files\ without\ side-car
        |side-cars\ without\ file|rows\ without\ file)\ (\d+)\z/x
        ? ($1 => $2) : () } split /[:,;\n]+/, $got->{out} };

    return $got;
}


sub found {
    my ($name, $got, %want) = @_;

    is_deeply({ map { $_ => $got->{n}{$_} } keys %want }, \%want, $name)
        or diag("$got->{out}$got->{err}");
}


start_worker();

# ---- what exam-worker stores: all that may be NULL, and all that may not

my $webm = media('webm', seconds => 1, audio => 1);

my @m = (
    offer(n => 0, data => $webm, started_at => 1, duration_ms => 2,
          offset_ms => -3),
    offer(n => 1, data => 'no video'),
    offer(n => 2, data => 'x', content_type => 'video/webm;codecs="vp8,OPUS"',
          received_at => undef),
    offer(n => 0, kind => 'file', data => 'text', content_type => '',
          student => 'S.002@x-y'),
    offer(n => 0, student => 'S003', exam => '29'),
);

ok(settled($m[$_]), "stored $_") for 0 .. $#m;

my $variant = offer(n => 1, data => 'other content');
ok(settled($variant), 'a variant');

my $double = offer(n => 1, data => 'other content');
ok(settled($double), 'and a double of it');

my $was = recordings();
my $rows = @m + 1;

is(rows(), $rows, 'rows of all');


# ---- nothing to do

{
    my $got = rebuild();

    is("$got->{rc}$got->{err}", '0', 'a table that is right');
    found('nothing is done', $got, 'side-cars' => $rows, right => $rows,
            added => 0, repaired => 0, worker => 0);
    is(recordings(), $was, 'nothing has changed');
}


# ---- empty

{
    sql('TRUNCATE recordings');

    my $got = rebuild('--dry-run');
    is($got->{rc}, 0, 'an empty table, told');
    found('all is to be added', $got, add => $rows, right => 0);
    is(rows(), 0, 'nothing was changed');

    $got = rebuild('30');
    is($got->{rc}, 0, 'of one exam');
    found('its rows are added', $got, added => $rows - 1);
    is(rows("exam = '29'"), 0, 'those of another are not');

    $got = rebuild();
    found('the rest', $got, added => 1, right => $rows - 1);
    is(recordings(), $was, 'all columns are as they were');

    found('again: nothing', rebuild(), right => $rows, added => 0,
            repaired => 0);
}


# ---- damaged

{
    my ($a, $b) = ($m[1]{id}, $variant->{id});
    my %damage = (
        bytes => 'bytes + 1', sha256 => "REPEAT('x', 32)",
        content_type => "'VIDEO/webm'", started_at => '5',
        duration_ms => 'NULL', offset_ms => '-4', received_at => '1',
        stored_at => 'stored_at + 1', node => "'n9'", store => "'s3'",
        path => "'elsewhere'", container => "'WEBM'", video_codec => 'NULL',
        audio_codec => "''", width => 'NULL', height => '1',
        media_ms => 'media_ms + 1', playable => '0', reason => "'x'",
        kind => "'camera'", n => '77', session => "REPEAT('0', 32)",
    );

    for my $column (sort keys %damage) {
        sql("UPDATE recordings SET $column = $damage{$column}"
            . " WHERE upload_id = '$m[0]{id}'");
        isnt(recordings(), $was, "$column is damaged");

        my $got = rebuild();
        like($got->{out}, qr/^repaired  $m[0]{id}  $column$/m,
             '  it is told');
        is(recordings(), $was, '  and repaired');
    }

    sql("UPDATE recordings SET exam = '31', student = 'S9' WHERE upload_id ="
        . " '$m[0]{id}'");
    like(rebuild()->{out}, qr/^repaired  $m[0]{id}  exam student$/m,
         'a row that another student has');
    is(recordings(), $was, 'is repaired');

    # two numbers swapped
    sql("UPDATE recordings SET variant = 9 WHERE upload_id = '$a'");
    sql("UPDATE recordings SET variant = 0 WHERE upload_id = '$b'");
    sql("UPDATE recordings SET variant = 1 WHERE upload_id = '$a'");

    my $got = rebuild('--dry-run');
    like($got->{out}, qr/^differs  $_  variant$/m, 'swapped variants are told')
        for $a, $b;
    is($got->{rc}, 0, 'without a change');

    found('and repaired', rebuild(), repaired => 2);
    is(recordings(), $was, 'as they were');

    # a row that stands in the way of another, and is left
    sql("DELETE FROM recordings WHERE upload_id = '$a'");
    sql("INSERT INTO recordings SELECT 0, 't1-" . 'f' x 32 . "', exam, student,"
        . " session, kind, n, 0, bytes, REPEAT('y', 32), content_type,"
        . " started_at, duration_ms, offset_ms, received_at, stored_at, node,"
        . " store, 'nowhere', container, video_codec, audio_codec, width,"
        . " height, media_ms, playable, reason FROM recordings"
        . " WHERE upload_id = '$b'");

    $got = rebuild();
    is($got->{rc}, 1, 'a row without file: exit code 1');
    like($got->{out}, qr/^row without file  t1-f{32}$/m, 'it is named');
    is(rows("upload_id = 't1-" . 'f' x 32 . "'"), 1, 'and left');
    is((row({ id => $a }))->{variant}, 2, 'the other one takes a free number');

    sql("DELETE FROM recordings WHERE upload_id = 't1-" . 'f' x 32 . "'");
    rebuild();
    is(recordings(), $was, 'without it all is as it was');
}


# ---- side-cars without variant, as older ones are

{
    my %kept;

    for my $m ($m[1], $variant) {
        my $text = Exam::Process::slurp(sidecar($m));
        $kept{sidecar($m)} = $text;
        $text =~ s/"variant":\d+,// or die;
        Exam::Process::spew(sidecar($m), $text);
    }

    sql('TRUNCATE recordings');
    is(rebuild()->{rc}, 0, 'older side-cars');
    is(recordings(), $was, 'variants in the order of arrival');

    sql("UPDATE recordings SET variant = 7 WHERE upload_id = '$m[1]{id}'");
    found('a number that only the row has is kept', rebuild(),
            repaired => 0);
    Exam::Process::spew($_, $kept{$_}) for keys %kept;
    found('until a side-car tells it', rebuild(), repaired => 1);
    is(recordings(), $was, 'as it was');
}


# ---- what cannot be made again

{
    my $text = Exam::Process::slurp(sidecar($m[1]));

    unlink sidecar($m[1]) or die;
    my $got = rebuild();
    is($got->{rc}, 1, 'a side-car is gone: exit code 1');
    like($got->{out}, qr{^file without side-car  30/S001/.*-$m[1]{id}\.webm$}m,
         'its file is named');
    is(recordings(), $was, 'the row stays');

    sql('TRUNCATE recordings');
    found('without a row there is none', rebuild(), added => $rows - 1,
            'files without side-car' => 1);

    Exam::Process::spew(sidecar($m[1]), substr $text, 0, 300);
    $got = rebuild();
    is($got->{rc}, 1, 'a side-car is torn');
    like($got->{out}, qr{^unusable side-car  30/S001/.*$m[1]{id}}m,
         'it is named');

    Exam::Process::spew(sidecar($m[1]), $text =~ s/"S001"/"S009"/gr);
    found('a side-car of another student', rebuild(),
            'unusable side-cars' => 1);

    Exam::Process::spew(sidecar($m[1]), $text);
    found('it is back', rebuild(), added => 1);
    is(recordings(), $was, 'as it was');

    rename path($m[0]), "$spool/kept" or die;
    $got = rebuild();
    found('a file is gone', $got, 'rows without file' => 1,
            'side-cars without file' => 1, right => $rows - 1);
    is(recordings(), $was, 'its row is left');
    rename "$spool/kept", path($m[0]) or die;
}


# ---- beside exam-worker, and without one

{
    my $on = offer(n => 50, ring => 0);

    # a manifest in work/ is exam-worker's
    stop_worker();
    ok(-e "$spool/ready/$on->{id}.info", 'an upload waits');
    start_worker();
    ok(settled($on), 'stored');
    $was = recordings();

    my $info = "$spool/work/$on->{id}.info";
    my $manifest = Exam::Process::slurp(sidecar($on));

    stop_worker();
    Exam::Process::spew($info, $manifest);
    sql('TRUNCATE recordings');

    my $got = rebuild();
    found('no exam-worker runs: a side-car is enough', $got, worker => 0,
            added => $rows + 1);
    is(recordings(), $was, 'all rows');

    # the same content, not decided yet: it would be removed as a double
    my $twin = { %$on, id => upload_id() };
    Exam::Process::spew(path($twin), Exam::Process::slurp(path($on)));
    Exam::Process::spew(sidecar($twin),
                        $manifest =~ s/$on->{id}/$twin->{id}/gr
                                  =~ s/"variant":0,//r);
    Exam::Process::spew("$spool/work/$twin->{id}.info",
                        Exam::Process::slurp(sidecar($twin)));

    found('a double on its way is left', rebuild(), worker => 1, added => 0);
    is(recordings(), $was, 'and has no row');

    start_worker();
    ok((wait_for { !-e $info && !-e "$spool/work/$twin->{id}.info" }),
       'exam-worker finishes both');
    is(recordings(), $was, 'nothing has changed');
    ok(!-e path($twin), 'the double is removed');
}

{
    my $n = 100;
    my $bad = 0;

    sql('TRUNCATE recordings');

    for my $round (1 .. 8) {
        offer(n => $n++, data => "round $_") for 1 .. 20;
        offer(n => $n - 1, data => "round 20");
        my $got = rebuild();
        $bad += $got->{rc} != 0;
        diag("$got->{out}$got->{err}") if $got->{rc};
    }

    ok((wait_for { !files("$spool/ready") && !files("$spool/work") }),
       'uploads while the table is rebuilt');
    is($bad, 0, 'each rebuild found all in order');
    is(rows('n >= 100'), 160, 'each upload has one row');
    found('and it is right', rebuild(), right => $rows + 161, added => 0,
            repaired => 0);

    my $all = recordings();
    sql('TRUNCATE recordings');
    rebuild();
    is(recordings(), $all, 'rebuilt at once: the same');
}

is(run_ctl('rebuild-index', '-x')->{rc}, 2, 'what is no exam id');

stop_worker();
done_testing();
