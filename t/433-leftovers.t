# Left-overs of an ended session by ?session=, and what /me tells of sessions:
# over a new login, on the node that had the session and on one that had not.

use strict;
use warnings;

use lib 't/lib';
use Test::More;

use Exam;
use Exam::Api qw(is_problem);
use Exam::Command qw(node_at);

my $code = $Exam::Api::Code;

Exam::load_exam('30', students => {
    map { $_ => { code => $code } } qw(S001 S002 S003)
});

my $one = node_at('n1');
my $two = node_at('n2');


sub path { return "/api/v1/recordings/$_[0]/$_[1]" . ($_[2] // '') }


sub put {
    my ($api, $token, $kind, $n, $args) = @_;

    return $api->req('PUT', path($kind, $n, $args), {
        Authorization => "Bearer $token", 'Content-Type' => 'video/webm',
    }, "content $kind $n");
}


sub sets {
    my ($api, $token, $session, $kind) = @_;

    my ($of) = grep { $_->{session} eq $session }
                    @{ $api->me($token)->{json}{sessions} };

    return $of ? $of->{segments}{$kind} : undef;
}


sub received {
    my ($api, $token, $session, $kind, $want) = @_;

    return Exam::wait_for {
        my $sets = sets($api, $token, $session, $kind);
        $sets && JSON::PP->new->encode($sets->{received}) eq $want;
    };
}


# ---- a session is replaced; what it recorded comes by the next one

my $old = $one->login('30', 'S001')->{json};
is(put($one, $old->{token}, 'screen', 0)->{status}, 201, 'an upload');

my $new = $one->login('30', 'S001')->{json};
my $by = "?session=$old->{session}";

is(put($one, $new->{token}, 'screen', 1, $by)->{status}, 201,
   'a left-over of the replaced session');
is(put($one, $new->{token}, 'screen', 0, $by)->{status}, 200,
   'what it had sent itself is known');
is($one->get(path('screen', 1, $by), $new->{token})->{json}{state},
   'received', 'GET of it');
is_problem($one->get(path('screen', 1), $new->{token}), 404, 'not_found',
           'the new session has no such number');
is(put($one, $new->{token}, 'screen', 0)->{status}, 201,
   'but one of its own');
is_problem(put($one, $old->{token}, 'screen', 1,
               "?session=$new->{session}"), 403, 'forbidden',
           'never the numbers of the running session');
is(put($one, $new->{token}, 'screen', 1,
       "?session=$new->{session}")->{status}, 201,
   'the own session may be named');
ok(received($one, $new->{token}, $old->{session}, 'screen', '[[0,1]]'),
   'me: the old one');
ok(received($one, $new->{token}, $new->{session}, 'screen', '[[0,1]]'),
   'me: the new one');


# ---- on a node that never saw the session

is(put($two, $new->{token}, 'screen', 2, $by)->{status}, 201,
   'a left-over, brought to another node');
ok((Exam::wait_for { my $s = sets($one, $new->{token}, $old->{session},
                                  'screen');
                     $s && "@{ $s->{received}[0] }" eq '0 2' }),
   'the first node tells of it');
is(put($two, $new->{token}, 'screen', 0, $by)->{status}, 200,
   'what the first node had received is known');
is($two->post(path('camera', 0, "/lost$by"), {}, $new->{token})
   ->{json}{state}, 'lost', 'given up for the ended session');
ok((Exam::wait_for { my $s = sets($one, $new->{token}, $old->{session},
                                  'camera');
                     $s && @{ $s->{lost} } }),
   'which the first node tells, too');


# ---- an ended session with nothing stored

{
    my $first = $one->login('30', 'S002')->{json};

    $one->logout($first->{token});

    my $next = $one->login('30', 'S002')->{json};
    my $of = "?session=$first->{session}";

    is(put($two, $next->{token}, 'screen', 0, $of)->{status}, 201,
       'is found by another node, too');
    is(scalar @{ $one->me($next->{token})->{json}{sessions} }, 2,
       'me shows both');

    my $third = $one->login('30', 'S002')->{json};

    is_deeply([sort map { $_->{session} }
               @{ $one->me($third->{token})->{json}{sessions} }],
              [sort map { $_->{session} } $first, $next, $third],
              'all three, one of them without a segment');
}


# ---- a new login elsewhere, of which the node of the old one has not heard

{
    my $first = $one->login('30', 'S003')->{json};

    is(put($one, $first->{token}, 'screen', 0)->{status}, 201, 'an upload');

    my $next = $two->login('30', 'S003')->{json};

    is(put($one, $next->{token}, 'screen', 1,
           "?session=$first->{session}")->{status}, 201,
       'the token itself tells that the old one was replaced');
}


# ---- not of this candidate

for ([Exam::sid('30', 'S002', 1), 'of another'],
     [Exam::sid('30', 'S001', 99), 'that was never given out'],
     [$two->login('30', 'S002')->{json}{session}, 'that another one has'],
     [$one->login('30', 'S003')->{json}{session}, 'that another one has here'])
{
    my ($sid, $name) = @$_;

    is_problem(put($one, $new->{token}, 'screen', 3, "?session=$sid"), 404,
               'not_found', "a session $name");
    is_problem($one->get(path('screen', 3, "?session=$sid"), $new->{token}),
               404, 'not_found', "GET of a session $name");
}


# ---- Redis away: what this node knows is taken, what it does not is not denied

{
    Exam::redis()->stop;

    is(put($one, $new->{token}, 'screen', 5, $by)->{status}, 201,
       'a left-over of a session that this node knows');
    is_problem(put($two, $new->{token}, 'screen', 5, $by), 503,
               'redis_unavailable', 'of one that it does not know');

    my $me = $one->me($new->{token})->{json};

    is_deeply($me->{degraded}, ['redis'], 'me tells that Redis is away');
    is(scalar @{ $me->{sessions} }, 2, 'and both sessions all the same');
}

done_testing();
