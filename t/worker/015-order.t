# The order of one upload's steps as the kernel sees them: everything is on
# stable storage before COMMIT, the manifest goes after it, the ledger and the
# doorbell come last.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib';

use Test::More;
use Spool;

my $trace = Exam::dir() . '/trace';

plan skip_all => 'strace cannot trace here'
    if system("strace -o $trace true >/dev/null 2>&1") != 0;

stack();

my $m = offer(data => media('webm'), n => 0, student => 'O01');

# LeakSanitizer cannot look at a process that is traced
local $ENV{ASAN_OPTIONS} = join ':', grep { defined } $ENV{ASAN_OPTIONS},
                                     'detect_leaks=0';

my @lines;

sub traced_pass {
    my ($rc) = Exam::run('strace', '-f', '-y', '-s', 96, '-o', $trace, '-e',
        'trace=rename,renameat,renameat2,unlink,unlinkat,fsync,fdatasync,'
        . 'mkdirat,write,sendto,sendmsg,writev', Exam::bin('exam-worker'),
        '--config', Exam::dir() . '/exam.ini', '--once');

    is($rc, 0, 'one pass under strace');
    @lines = split /\n/, Exam::Process::slurp($trace);
    return;
}

traced_pass();
ok(row($m), 'stores the upload');

# the number of the only line that matches
sub at {
    my ($what, $pattern) = @_;

    my @at = grep { $lines[$_] =~ $pattern } 0 .. $#lines;
    is(scalar @at, 1, "once: $what") or diag map { "$lines[$_]\n" } @at;
    return $at[0] // -1;
}

my $id = $m->{id};

my @order = (
    ['ready/ to work/', at('claim', qr/rename.*ready\/$id\.info.*work\/$id/)],
    ['the file to the store',
     at('file', qr/rename\w*\(.*ready\/$id\.rec".*O01\/.*$id\.webm"\) = 0/)],
    ['the side-car synced',
     at('fdatasync', qr/fdatasync\(.*$id\.webm\.json\.tmp>/)],
    ['the side-car named',
     at('side-car', qr/rename.*json\.tmp".*$id\.webm\.json"/)],
    ['its folder synced', at('fsync', qr/fsync\(\d+<.*\/30\/O01>/)],
    ['the row', at('insert', qr/(?:send|write).*\\3COMMIT"/)],
    ['the manifest removed', at('unlink', qr/unlinkat.*work\/$id\.info/)],
    ['the doorbell', at('ack', qr/XACK/)],
);

for (1 .. $#order) {
    cmp_ok($order[$_ - 1][1], '<', $order[$_][1],
           "$order[$_ - 1][0], then $order[$_][0]");
}

# the new folders too, before the row; the ledger between manifest and doorbell
my %number = map { @$_ } @order;

sub between {
    my ($what, $pattern, $from, $to) = @_;

    my @found = grep { $lines[$_] =~ $pattern } ($from ? $number{$from} : 0)
                                                .. $number{$to};
    ok(scalar @found, "$what before: $to");
}

between('the store is synced', qr/fsync\(\d+<[^>]*\/recordings>/, '',
        'the row');
between('the folder of the exam is synced',
        qr/fsync\(\d+<[^>]*\/recordings\/30>/, '', 'the row');
between('the ledger is settled', qr/EVALSHA.*seg:O01/,
        'the manifest removed', 'the doorbell');

# ---- the same content again: no power loss leaves its file without a row

my $d = offer(data => Exam::Process::slurp(glob Exam::recordings()
              . '/30/O01/*.webm'), n => 0, student => 'O01');

traced_pass();
is(row($d), undef, 'a double has no row');

my $gone = at('its file removed',
              qr/unlinkat\(.*O01\/[^"]*$d->{id}\.webm", 0\) = 0/);
my $released = at('its manifest removed', qr/unlinkat.*work\/$d->{id}\.info/);

ok((grep { $lines[$_] =~ qr/fsync\(\d+<.*\/30\/O01>/ } $gone .. $released),
   'which is synced before its manifest goes');

done_testing();
