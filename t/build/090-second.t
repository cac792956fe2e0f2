# Files that fail among others are run again, alone: a flaky one passes the run
# and is named, one that fails twice fails it.  Searches are spread among the
# other files, those that take long come first.

use strict;
use warnings;

use lib 't/lib';
use Exam;
use Test::More;

my $util = "$Exam::Process::Root/util";
my $serial = 0;

my $good = 'print "1..1\nok 1\n";';
my $bad = 'print "1..1\nnot ok 1\n"; exit 1;';
my $short = 'print "1..2\nok 1\n";';
# the first run leaves its trace
my $flaky = 'print "1..1\n"; if (-e "$0.run") { print "ok 1\n"; exit }'
    . ' open my $f, ">", "$0.run"; print "not ok 1\n";'
    . ' print STDERR "# was disturbed\n"; exit 1;';
my $mute = $flaky =~ s/"1\.\.1\\n"; if/"1..2\\n"; if/r
    =~ s/"ok 1\\n"/"ok 1\\nok 2\\n"/r =~ s/not ok 1/ok 1/r =~ s/exit 1;//r;


# What prove_all makes of files; each is a program, by name.

sub proved {
    my (%files) = @_;

    my $root = Exam::dir() . '/run' . ++$serial;
    my @names = sort keys %files;

    for my $name (@names) {
        my $path = "$root/var/test/$name";

        system('mkdir', '-p', $path =~ s{/[^/]*$}{}r) == 0 or die "mkdir\n";
        Exam::spew($path, "$files{$name}\n");
    }

    # a test of its own, not a part of this one
    local $ENV{HARNESS_ACTIVE};
    delete local @ENV{qw(HARNESS_OPTIONS HARNESS_VERBOSE JOBS)};

    my ($rc, $out, $err) = Exam::run('bash', '-c', 'set -euo pipefail;'
        . ' ROOT=$1; util=$2; shift 2; . "$util/common.sh";'
        . ' . "$util/prove.sh"; cd "$ROOT"; TESTS=("$@"); prove_all',
        'bash', $root, $util, map { "var/test/$_" } @names);

    return ($rc, $out, $root, $err);
}


my ($rc, $out, $root) = proved('a.t' => $good, 'b.t' => $good);

is $rc, 0, 'all pass';
unlike $out, qr/second run|passed alone/, '... and nothing is said of it';

($rc, $out, $root) = proved('a.t' => $good, 'b.t' => $flaky, 'c/d.t' => $mute);

is $rc, 0, 'flaky ones pass the run' or diag $out;
like $out, qr{^failed among others, passed alone: var/test/b\.t$}m,
    '... and are named';
like $out, qr{^failed among others, passed alone: var/test/c/d\.t$}m,
    '... also one that ended before its plan';
unlike $out, qr{passed alone: var/test/a\.t}, '... no others';
like $out, qr{\nwhat the first run said: var/test/first\.log\n$},
    '... at the end';

my $said = Exam::slurp("$root/var/test/first.log");

like $said, qr/was disturbed.*Result: FAIL/s, 'the first output is kept';
like Exam::slurp("$root/var/test/second.log"), qr{b\.t .*Files=2.*PASS}s,
    'the second run was of the two';

($rc, $out) = proved('a.t' => $good, 'b.t' => $flaky, 'c.t' => $bad);

isnt $rc, 0, 'one that fails twice fails the run';
like $out, qr{\nfailed twice: var/test/c\.t\n$}, '... and is named';
unlike $out, qr/passed alone/, '... and nothing is said to pass';

($rc, $out) = proved('a.t' => $good, 'b.t' => $short);
isnt $rc, 0, 'ended before its plan, twice';

($rc, $out) = proved('b.t' => $flaky);

isnt $rc, 0, 'a single file was alone';
unlike $out, qr/second run/, '... it is not run again';

($rc, $out) = proved('z.t' => $good, map { ("$_.t" => $flaky) } 'a' .. 'e');
is $rc, 0, 'five flaky files';

($rc, $out) = proved('z.t' => $good, map { ("$_.t" => $flaky) } 'a' .. 'f');

isnt $rc, 0, 'six are too many';
like $out, qr/^no second run: 6 files failed, more than 5$/m, '... as is said';

for my $name (qw(fuzz/020-search-x.t fault/070-storm.t)) {
    ($rc, $out) = proved('a.t' => $good, $name => $flaky);

    isnt $rc, 0, "$name has found something";
    like $out, qr{^no second run: var/test/\Q$name\E has found something$}m,
        '... that another search may not find';
}

for my $line ('==1==ERROR: AddressSanitizer: heap-use-after-free',
              'x.c:1:2: runtime error: signed integer overflow',
              'worker process 2 exited on signal 11')
{
    ($rc, $out) = proved('a.t' => $good,
                         'b.t' => $flaky =~ s/was disturbed/$line/r);

    isnt $rc, 0, "fails for good: $line";
    like $out, qr/^no second run: a sanitizer's report, or a crash/m,
        '... as is said';
}


# the order, without running them

my $names = join ' ', map { "var/test/static/$_.t" } '1', '2',
    'fuzz/010-corpus', 'fuzz/020-search-a', 'fuzz/020-search-b', 3 .. 6,
    'worker/130-watch';

($rc, $out) = Exam::run('bash', '-c', "set -euo pipefail; ROOT=/nowhere;"
    . " . $util/common.sh; . $util/prove.sh; TESTS=($names); ordered;"
    . ' echo ${TESTS[@]##*/} $LANES; TESTS=(x/fuzz/020-search-a.t); ordered;'
    . ' echo ${TESTS[@]} $LANES; TESTS=(a.t b.t); ordered;'
    . ' echo ${TESTS[@]} $LANES');

is $rc, 0, 'ordered';
is $out, "020-search-a.t 130-watch.t 1.t 020-search-b.t 2.t 010-corpus.t 3.t"
    . " 4.t 5.t 6.t 2\nx/fuzz/020-search-a.t 1\na.t b.t 1\n",
    'searches among the others, what takes long first';

done_testing;
