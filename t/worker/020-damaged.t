# What is damaged goes to bad/ with the reason, at once, and the ledger is not
# lowered; what is not ours is left alone.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib';

use Digest::SHA qw(sha256_hex);
use Test::More;
use Spool;

stack();

my $spool = Exam::spool();
my $recordings = Exam::recordings();


sub bad {
    my ($m) = @_;

    return wait_for {
        -e "$spool/bad/$m->{id}.info" && !-e "$spool/work/$m->{id}.info"
            && redis('XLEN', bell()) == 0
    };
}


sub reason_of { return json(Exam::Process::slurp("$spool/bad/$_[0]{id}.info")) }


# before the start: neither an upload nor ours
Exam::Process::spew("$spool/ready/" . upload_id() . '.rec', 'no manifest yet');
Exam::Process::spew("$spool/ready/notes.info", '{}');
Exam::Process::spew("$spool/ready/t1-xyz.info", '{}');

my @others = files("$spool/ready");

start_worker();
ok((wait_for { redis('EXISTS', 'exam:loaded') }), 'the worker is up');


# ---- wrong size, both ways

{
    my $m = offer(data => 'short', length => 6, durable_offset => 6, n => 0);

    ok(bad($m), 'a file that is too short is put aside');
    is(reason_of($m)->{reason}, 'wrong_size', 'with the reason');
    is(reason_of($m)->{found_bytes}, 5, 'and its size');
    is(reason_of($m)->{sha256}, $m->{sha256}, 'its manifest is kept');
    is(Exam::Process::slurp("$spool/bad/$m->{id}.rec"), 'short',
       'and the file');
    is(row($m), undef, 'it has no row');
    is_deeply([ledger($m)], ['refused', 't1', $m->{id}, 6, $m->{sha256},
                             'wrong_size'],
              'the ledger says refused, and why');

    my $l = offer(data => 'longer', length => 5, durable_offset => 5, n => 1);

    ok(bad($l), 'a file that is too long is put aside');

    my $metadata = 'a"b\\,kind c2NyZWVu,x ' . 'QUFB' x 1000;
    my $r = offer(data => 'short', length => 6, durable_offset => 6, n => 70,
                  protocol => 'tus', metadata => $metadata);

    ok(bad($r), 'a file with 4 KB of metadata');
    is(reason_of($r)->{metadata}, $metadata, 'which are kept with it');
}


# ---- wrong hash: seen when it is hashed, as a sample or after a reboot

{
    my $wrong = sha256_hex('other');

    my $m = offer(data => 'content', sha256 => $wrong, n => 2,
                  id => upload_id('0'));

    ok(bad($m), 'a sample with a wrong hash is put aside');
    is(reason_of($m)->{reason}, 'wrong_sha256', 'with the reason');
    is(reason_of($m)->{found_sha256}, sha256_hex('content'), 'and its hash');
    ok(-e "$spool/bad/$m->{id}.rec", 'and the file');

    my $t = offer(data => 'content', sha256 => $wrong, n => 3);

    ok(settled($t), 'others are believed: the hash was made when writing');

    my $b = offer(data => 'content', sha256 => $wrong, n => 4,
                  boot_id => '00000000-0000-4000-8000-000000000000');

    ok(bad($b), 'but not after a reboot');
    is(reason_of($b)->{reason}, 'wrong_sha256', 'which is when disks lie');

    my $g = offer(data => 'content', n => 5,
                  boot_id => '00000000-0000-4000-8000-000000000000');

    ok(settled($g), 'what survived the reboot unharmed is stored');
}


# ---- manifests

{
    my @bad = (
        ['cut short' => '{"version":1,"id":"'],
        ['no JSON' => "\x00\xff\xfe"],
        ['empty' => ''],
        ['too large' => '{"x":"' . 'y' x 7000 . '"}'],
        ['of another version' => '{"version":99}'],
    );

    for (@bad) {
        my ($what, $raw) = @$_;
        my $m = offer(raw => $raw, n => 6);

        ok(bad($m), "a manifest that is $what is put aside");
        like(reason_of($m)->{reason}, qr/^manifest_/, 'with the reason');
        ok(-e "$spool/bad/$m->{id}.rec", 'and the file');
    }

    my $m = offer(raw => "\x00\xff\xfe", n => 6);

    ok(bad($m), 'once more');
    is(reason_of($m)->{manifest_base64}, 'AP/+', 'a damaged manifest is kept');
    is_deeply([ledger($m)], [], 'which names no number to ask for again');

    my $o = offer(n => 7);
    my $other = upload_id();

    ok(settled($o), 'a good one');
    Exam::Process::spew("$spool/ready/$other.rec", 'data');
    my $copy = JSON::PP->new->canonical->encode({ %$o, id => upload_id() });
    Exam::Process::spew("$spool/ready/$other.info", $copy);
    redis('XADD', bell(), '*', id => $other);

    ok(bad({ id => $other }), 'a manifest that names another upload');
    is(reason_of({ id => $other })->{reason}, 'manifest_of_another',
       'the reason');

    my $f = offer(n => 8, sha256 => undef);

    ok(bad($f), 'a manifest of an unfinished upload');
    is(reason_of($f)->{reason}, 'manifest_not_final', 'the reason');

    my $p = offer(n => 9, exam => '../30');

    ok(bad($p), 'a manifest with a path for an exam');
}


# ---- a manifest without a file, a file that is none

{
    my $m = offer(rec => 0, n => 10);

    ok(bad($m), 'a manifest without a file is put aside');
    is(reason_of($m)->{reason}, 'file_missing', 'with the reason');

    my $l = offer(rec => 0, info => 0, ring => 0);
    symlink '/etc/passwd', "$spool/ready/$l->{id}.rec" or die;
    my $s = offer(%$l, rec => 0, data => 'x' x -s '/etc/passwd', n => 11);

    ok(bad($s), 'a link is not followed');
    is(reason_of($s)->{reason}, 'not_a_file', 'with the reason');
}


# ---- the doorbell

{
    redis('XADD', bell(), '*', id => upload_id(), exam => '30');
    redis('XADD', bell(), '*', id => '../../etc/passwd');
    redis('XADD', bell(), '*', nothing => 'here');

    ok((wait_for { redis('XLEN', bell()) == 0 }),
       'entries without an upload are acknowledged');
}

is_deeply([files("$spool/ready")], \@others, 'what is not ours is untouched');
is_deeply([files("$spool/work")], [], 'nothing is left in work/');
cmp_ok(figures()->{failed_total}, '>=', 10, 'failures are counted')
    if wait_for { figures()->{failed_total} >= 10 };
is(stop_worker(), 0, 'the worker leaves in order');

done_testing();
