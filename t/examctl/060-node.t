# keys rotate and doctor.

use strict;
use warnings;

use lib 't/lib', 't/examctl/lib';

use Ctl;
use Fcntl qw(:flock O_RDONLY);
use Test::More;

stack(migrate => 0);

my $dir = dir();
my $keys = "$dir/keys";


# ---- keys

sub keys_of {
    my %class;

    for my $line (split /\n/, slurp($keys)) {
        next if $line =~ /^#/;
        like($line, qr/\A[\w-]{1,16} (?:candidate|staff) [0-9a-f]{64}\z/,
             '  a line of the key file');
        my ($kid, $class, $key) = split / /, $line;
        push @{ $class{$class} }, $line;
    }

    return \%class;
}

{
    is(ctl('doctor')->{rc}, 1, 'doctor without keys');

    like(ok_ctl('keys', 'rotate'), qr/keys are in "\Q$keys\E"/, 'first keys');
    is((stat $keys)[2] & 07777, 0600, 'only the owner reads them');

    my $one = keys_of();
    is(scalar @{ $one->{$_} }, 1, "one of class $_") for qw(candidate staff);

    ok_ctl('keys', 'rotate');
    my $two = keys_of();

    for my $class (qw(candidate staff)) {
        is(scalar @{ $two->{$class} }, 2, "two of class $class");
        is($two->{$class}[1], $one->{$class}[0], 'the old one is second');
    }

    chmod 0644, $keys;
    ok_ctl('keys', 'rotate');
    my $three = keys_of();

    for my $class (qw(candidate staff)) {
        is(scalar @{ $three->{$class} }, 2, "still two of class $class");
        is($three->{$class}[1], $two->{$class}[0], 'the last one is second');
    }

    is((stat $keys)[2] & 07777, 0600, 'the mode is mended');

    # comments, blanks and a third class of order
    spew($keys, "# x\n\n" . join '', map { "$_\n" } $three->{staff}[0],
                " $three->{candidate}[0] ");
    ok_ctl('keys', 'rotate');
    like(slurp($keys), qr/^ ?\Q$three->{candidate}[0]\E/m,
         'a key among comments and blanks is kept');

    my %before = map { $_ => 1 } glob "$dir/*";
    spew($keys, "c1 candidate 00\n");
    fails(1, qr/keys:1: /, 'keys', 'rotate');
    is(slurp($keys), "c1 candidate 00\n", 'a broken file is not touched');
    is_deeply([grep { !$before{$_} && !m{/ctl\.} } glob "$dir/*"], [],
              'no temporary file is left');

    # one after the other
    {
        ok_ctl('keys', 'rotate', { config =>
               spew("$dir/k.ini", ini(node => { keys => 'k' })) });

        sysopen my $lock, $dir, O_RDONLY or die;
        flock $lock, LOCK_EX or die;

        my $before = slurp("$dir/k");
        my $second = Exam::Process->start('second', "$dir/second.log",
            Exam::Process::bin('examctl'), '--config', "$dir/k.ini", 'keys',
            'rotate');
        my $slept = 0;

        ok((wait_for {
            $slept += slurp('/proc/' . $second->pid . '/stat') =~ /\) S /;
            $slept > 15 || !$second->running;
        }), 'a second rotation starts');
        is(slurp("$dir/k"), $before, 'and waits for the first');

        close $lock;
        ok((wait_for { !$second->running }), 'then it goes on');
        isnt(slurp("$dir/k"), $before, 'and rotates');
    }

    unlink $keys;

    my @pids = map {
        my $pid = fork // die;
        exec Exam::Process::bin('examctl'), '--config', "$dir/exam.ini",
             'keys', 'rotate' or POSIX::_exit(127) if $pid == 0 && open STDOUT,
             '>', '/dev/null';
        $pid;
    } 1 .. 8;

    waitpid $_, 0 for @pids;

    my $many = keys_of();
    is(scalar @{ $many->{$_} }, 2, "eight at once leave two of class $_")
        for qw(candidate staff);

    fails(1, qr/cannot lock/, 'keys', 'rotate', { config =>
          spew("$dir/nokeys.ini", ini(node => { keys => 'no/keys' })) });
}


# ---- nginx is told, and nobody else

{
    # a process that has the name, one that has not
    my $as = "$dir/nginx";
    spew($as, "#!/bin/sh\ntrap 'echo hup >> $dir/\$1.hup' HUP\n"
              . "touch $dir/\$1.up\nwhile :; do sleep 0.05; done\n");
    chmod 0755, $as;
    link $as, "$dir/other" or die;

    my %proc = map { $_ => Exam::Process->start($_, "$dir/$_.log",
                                                "$dir/$_", $_) }
                   qw(nginx other);

    ok((wait_for { -e "$dir/nginx.up" && -e "$dir/other.up" }), 'both run');

    spew("$dir/nginx.pid", $proc{nginx}->pid . "\n");
    like(ok_ctl('keys', 'rotate'), qr/nginx reads them now/, 'nginx is told');
    ok((wait_for { -e "$dir/nginx.hup" }), 'by HUP');

    spew("$dir/nginx.pid", $proc{other}->pid . "\n");
    like(ok_ctl('keys', 'rotate'), qr/nginx does not run/,
         'another program under its old pid is not');

    $proc{nginx}->stop('KILL');
    spew("$dir/nginx.pid", "2147483646\n");
    like(ok_ctl('keys', 'rotate'), qr/nginx does not run/, 'a pid of nobody');

    for my $pid ('x', '', '0', '-1', '1') {
        spew("$dir/nginx.pid", $pid);
        fails(1, qr/no pid in/, 'keys', 'rotate');
    }

    unlink "$dir/nginx.pid";
    like(ok_ctl('keys', 'rotate'), qr/does not run or is not configured/,
         'no pid file');
    ok(!-e "$dir/other.hup", 'the other one had no signal');
}


# ---- doctor

sub doctor {
    my ($rc, $config) = @_;

    my $got = ctl('doctor', '--json', { config => $config // "$dir/exam.ini" });
    my $checks = eval { JSON::PP->new->utf8->decode($got->{out})->{checks} };

    is($got->{rc}, $rc, "doctor: exit code $rc") or diag($got->{out});
    ok($checks, '  is JSON') or diag($got->{out});

    return { map { my $c = $_; map { +"$_ $c->{check}" => $c->{text} }
                               $c->{result} } @$checks };
}

{
    my $d = doctor(1);

    like($d->{'fail schema'}, qr/run "examctl migrate"/, 'no tables yet');
    like($d->{'fail loaded'}, qr/exam-worker/, 'nobody has loaded Redis');
    like($d->{'fail worker'}, qr/no exam-worker of node "t1"/, 'no worker');
    like($d->{'warn redis'}, qr/appendonly is "no"/, 'no AOF is a warning');
    ok($d->{"ok $_"}, "$_ is right") for qw(config keys spool recordings mysql
                                            clock);

    ok_ctl('migrate');
    redis('SET', 'exam:loaded', 'n9-1');
    redis('HSET', 'exam:worker:t1', 'state', 'running', 'lag_s', '3');

    $d = doctor(0);
    like($d->{'ok schema'}, qr/\Aversion \d+\z/, 'the schema');
    like($d->{'ok loaded'}, qr/n9-1/, 'loaded');
    is($d->{'ok worker'}, 'running, lag 3 s', 'the worker');

    redis('HSET', 'exam:worker:t1', 'state', 'draining');
    like(doctor(0)->{'warn worker'}, qr/draining/, 'a draining one');

    redis('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
    like(doctor(1)->{'fail redis'}, qr/maxmemory-policy is "allkeys-lru"/,
         'a Redis that drops keys');
    redis('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');

    redis('CONFIG', 'SET', 'appendonly', 'yes');
    ok(!exists doctor(0)->{'warn redis'}, 'AOF is right');

    sql('SET GLOBAL innodb_flush_log_at_trx_commit = 2');
    like(doctor(0)->{'warn mysql'}, qr/innodb_flush_log_at_trx_commit is 2/,
         'rows that can be lost');
    sql('SET GLOBAL innodb_flush_log_at_trx_commit = 1');

    sql("UPDATE schema_migrations SET checksum = REPEAT('x', 32) "
        . "WHERE version = 1");
    like(doctor(1)->{'fail schema'}, qr/0001_exams\.sql" was changed/,
         'a changed migration');
    sql("DELETE FROM schema_migrations WHERE version = 1");
    like(doctor(1)->{'fail schema'}, qr/1 migrations are missing/,
         'a missing one');
    ok_ctl('migrate');
    sql("INSERT INTO schema_migrations VALUES (99, 'x', REPEAT('x', 32), 1)");
    like(doctor(1)->{'fail schema'}, qr/migration 0099/, 'a newer one');
    sql("DELETE FROM schema_migrations WHERE version = 99");

    chmod 0640, $keys;
    like(doctor(1)->{'fail keys'}, qr/can be read by others \(mode 640\)/,
         'keys that others read');
    chmod 0600, $keys;

    my $good = slurp($keys);
    spew($keys, $good =~ s/^.* staff .*\n//gmr);
    like(doctor(1)->{'fail keys'}, qr/no key of class staff/, 'a class');
    spew($keys, $good =~ s/^.* candidate .*\n//gmr);
    like(doctor(1)->{'fail keys'}, qr/no key of class candidate/, 'the other');
    spew($keys, "x\n");
    like(doctor(1)->{'fail keys'}, qr/keys:1: /, 'a broken key file');
    spew($keys, $good);

    for my $folder (qw(spool recordings)) {
        my $d = doctor(1, spew("$dir/d.ini", ini(node => { $folder => 'no' })));
        like($d->{"fail $folder"}, qr/no folder/, "no $folder");

        $d = doctor(1, spew("$dir/d.ini", ini(node => { $folder => '/proc' })));
        like($d->{"fail $folder"}, qr/cannot write/, "$folder not writable");
    }

    SKIP: {
        my $other = "/dev/shm/exam-$$";

        skip 'no other filesystem', 3
            unless mkdir $other and (stat $other)[0] != (stat $dir)[0];

        my $d = doctor(0, spew("$dir/d.ini",
                               ini(node => { recordings => $other })));
        like($d->{'warn recordings'}, qr/different filesystems/,
             'another filesystem');
        is_deeply([glob "$other/.* $other/*"], ["$other/.", "$other/.."],
                  'nothing is left in it');
    }

    rmdir "/dev/shm/exam-$$";

    $d = doctor(1, spew("$dir/d.ini", ini(redis => { socket => 'none' })));
    like($d->{'fail redis'}, qr/none/, 'no Redis');
    ok($d->{'ok mysql'}, 'the rest is looked at');

    $d = doctor(1, spew("$dir/d.ini", ini(mysql => { socket => 'none' })));
    like($d->{'fail mysql'}, qr/none/, 'no MySQL');
    ok($d->{'ok redis'}, 'the rest is looked at');

    $d = doctor(1, spew("$dir/d.ini", ini(mysql => { database => 'none' })));
    like($d->{'fail mysql'}, qr/run "examctl migrate"/, 'no database');
}

done_testing();
