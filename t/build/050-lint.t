# ./build.sh lint has nothing to say.

use strict;
use warnings;

use lib 't/lib';
use Exam;
use Test::More;

plan skip_all => 'not a git checkout' unless -e "$Exam::Process::Root/.git";

my ($rc, $out, $err) = Exam::run("$Exam::Process::Root/build.sh", 'lint');

is $rc, 0, 'lint finds nothing' or diag "$out$err";

done_testing;
