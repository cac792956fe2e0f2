# The clients of MySQL and Redis, the log and small files: clients.c prints
# the results, with servers of its own around it.

use strict;
use warnings;

use lib 't/lib', 't/examctl/lib', 't/service/lib';

use Build;
use Ctl ();
use Exam::Process;

my $dir = Exam::Process::dir();

Ctl::stack(migrate => 0);

exit(system(Build::program('clients'), "$dir/exam.ini", $dir) == 0 ? 0 : 1);
