# What clients of resumable uploads are promised has tests, and enough of it is
# proven by breakages that turn them red: ./build.sh test --list-protocol.

use strict;
use warnings;

use Test::More;

my $root = $ENV{EXAM_ROOT} // '.';
my $list = qx($root/build.sh test --list-protocol 2>&1);

is($?, 0, 'every promise has a test, no test has an unknown one')
    or diag(grep { /^#/ } map { "$_\n" } split /\n/, $list);

my ($n, $tested, $proven) = $list
    =~ /^# (\d+) promises, (\d+) with a test, (\d+) proven by a breakage$/m;

cmp_ok($n // 0, '>=', 60, 'there are enough of them');
is($tested, $n, 'each is tested');
cmp_ok($proven // 0, '>=', 40, 'enough of them are proven');

like($list, qr/^T07 .*\n  t\/\d+-[\w-]+\.t: T07: /m,
     'a promise is followed by its tests');

done_testing();
